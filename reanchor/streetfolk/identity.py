"""Who walks the street: identities, in families of four look-alikes.

Attributes are the categorical properties a caption may name. The `details` are numbers and shades that
no caption names: they make an identity recognisable where its family shares every word.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from reanchor.streetfolk.palette import CLOTH, HAIR, RGB, SKIN, shade

FAMILY = 4  # look-alikes per family: family = index // FAMILY
NONE = "none"

HAIR_STYLES = {"bald": 1, "cropped": 3, "short": 4, "curly": 2, "bob": 3, "long": 4, "ponytail": 2, "bun": 2}
HAIR_COLOURS = {"black": 5, "brown": 5, "blond": 3, "ginger": 2, "grey": 2, "white": 1, "blue": 0.6,
                "pink": 0.6}
HEADWEAR = {NONE: 7, "cap": 2, "beanie": 2, "hat": 1.5}
GLASSES = {NONE: 6, "glasses": 2, "sunglasses": 2}
BEARD = {NONE: 4, "beard": 1}
SCARF = {NONE: 5, "scarf": 1}
UPPERS = {"shirt": 3, "blouse": 1, "sweater": 3, "hoodie": 3, "polo": 2, "vest": 1, "jersey": 3}
SLEEVES = {"long": 3, "short": 3}
PATTERNS = {"plain": 6, "striped": 3, "checked": 2, "dotted": 1.5, "block": 2, "pinstriped": 1.5}
OUTERS = {NONE: 6, "jacket": 3, "coat": 2, "cardigan": 1.5, "gilet": 1.5}
LOWERS = {"trousers": 4, "jeans": 3, "leggings": 1, "shorts": 3, "skirt": 2, "dress": 1.5}
LOWER_PATTERNS = {"plain": 6, "sidestriped": 2, "checked": 1, "dotted": 0.6}
SHOES = {"trainers": 4, "boots": 2, "sandals": 1, "shoes": 3}
BAGS = {NONE: 4, "backpack": 4, "satchel": 3, "handbag": 2}
PRINTS = {NONE: 4, "square": 1, "round": 1, "star": 1, "band": 1.5, "cross": 1}
BUILDS = {"slim": 1, "average": 2, "stocky": 1}
SIDES = {"left": 1, "right": 1}
SKINS = {"pale": 3, "tanned": 3, "brown": 2, "dark": 2}
COLOURS = {"black": 4, "white": 3, "grey": 3, "red": 2, "orange": 1, "yellow": 1, "green": 2, "blue": 3,
           "purple": 1, "pink": 1.2, "brown": 1.5, "beige": 1.5, "navy": 2, "olive": 1, "maroon": 1,
           "turquoise": 1}
LIVELY = {name: weight for name, weight in COLOURS.items() if name not in ("black", "grey", "navy")}
JEANS = {"blue": 4, "black": 2, "grey": 1, "navy": 3}

TABLES: dict[str, Mapping[str, float]] = {
    "hair": HAIR_STYLES, "hair_colour": HAIR_COLOURS, "headwear": HEADWEAR, "headwear_colour": COLOURS,
    "glasses": GLASSES, "beard": BEARD, "scarf": SCARF, "scarf_colour": LIVELY,
    "upper": UPPERS, "upper_colour": COLOURS, "upper_accent": LIVELY, "upper_pattern": PATTERNS,
    "sleeves": SLEEVES, "print": PRINTS, "print_colour": LIVELY,
    "outer": OUTERS, "outer_colour": COLOURS,
    "lower": LOWERS, "lower_colour": COLOURS, "lower_accent": LIVELY, "lower_pattern": LOWER_PATTERNS,
    "shoes": SHOES, "shoes_colour": COLOURS, "socks_colour": COLOURS,
    "bag": BAGS, "bag_colour": COLOURS, "bag_side": SIDES,
    "build": BUILDS, "skin": SKINS,
}
# What may tell a member from its family: each group is drawn anew as a whole.
MUTATIONS: tuple[tuple[str, ...], ...] = (
    ("hair", "hair_colour"), ("hair_colour",), ("headwear", "headwear_colour"), ("glasses", "beard"),
    ("scarf", "scarf_colour"), ("upper_colour",), ("upper_pattern", "upper_accent"),
    ("print", "print_colour"),
    ("outer_colour",), ("lower_colour",), ("lower_pattern", "lower_accent"), ("shoes", "shoes_colour"),
    ("shoes_colour", "socks_colour"), ("bag", "bag_colour", "bag_side"), ("bag_colour",), ("build",),
    ("skin",), ("sleeves",),
)
MUTATIONS_PER_MEMBER = (3, 5)  # lowest and highest number of groups drawn anew


@dataclass(frozen=True)
class Details:
    """What no caption names; every number is relative to the body's height."""

    height: float
    girth: float
    shoulders: float
    hips: float
    period: float  # of stripes, checks, dots
    duty: float  # share of a period the accent colour takes
    hem: float  # height of the upper garment's lower edge
    opening: float  # half-angle of open outerwear, degrees; 0: closed
    print_angle: float  # degrees to the wearer's left of the middle
    print_height: float
    print_size: float
    cuffs: int  # 0: none, 1: at the wrist, 2: around the upper arm
    belt: bool
    hem_band: bool
    socks: float  # height they reach
    parting: float
    collar: int
    length: float  # of skirt, shorts or coat: 0 shortest, 1 longest


@dataclass(frozen=True)
class Identity:
    """One person: `attributes` by name (the keys of `TABLES`), `details`, and the `paint` of each part."""

    attributes: dict[str, str]
    details: Details
    paint: dict[str, RGB] = field(repr=False)

    def __getattr__(self, name: str) -> str:
        try:
            return self.__dict__["attributes"][name]
        except KeyError:
            raise AttributeError(name) from None


def generator(seed: int, namespace: str, *key: int) -> np.random.Generator:
    """The generator of one thing: the same for the same key, whoever asks, in whatever order."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(namespace.encode()), *key]))


@lru_cache(maxsize=64)
def make_identity(seed: int, namespace: str, index: int) -> Identity:
    """Identity `index` of a namespace; its family is `index // FAMILY`."""
    family = generator(seed, namespace, 1, index // FAMILY)
    shared = {name: pick(family, table) for name, table in TABLES.items()}
    own = generator(seed, namespace, 2, index)
    attributes = _consistent(_mutate(own, _consistent(shared)))
    return Identity(attributes, _details(generator(seed, namespace, 3, index // FAMILY), own, attributes),
                    _paint(generator(seed, namespace, 4, index // FAMILY), own, attributes))


def pick(rng: np.random.Generator, table: Mapping[str, float]) -> str:
    """One key, drawn by weight."""
    threshold = rng.random() * sum(table.values())
    for name, weight in table.items():
        threshold -= weight
        if threshold < 0:
            return name
    return name


def _mutate(rng: np.random.Generator, shared: dict[str, str]) -> dict[str, str]:
    groups = [group for group in MUTATIONS if _matters(group, shared)]
    low, high = MUTATIONS_PER_MEMBER
    attributes = dict(shared)
    for position in rng.permutation(len(groups))[:rng.integers(low, high + 1)]:
        group = groups[position]
        before = [shared[name] for name in group]
        while [attributes[name] for name in group] == before:
            attributes.update((name, pick(rng, TABLES[name])) for name in group)
    return attributes


def _matters(group: tuple[str, ...], attributes: dict[str, str]) -> bool:
    """Whether drawing the group anew can be seen at all."""
    hidden = {"outer_colour": attributes["outer"] == NONE, "hair_colour": attributes["hair"] == "bald",
              "bag_colour": attributes["bag"] == NONE, "lower_colour": attributes["lower"] == "dress",
              "lower_pattern": attributes["lower"] == "dress", "sleeves": attributes["outer"] != NONE}
    return not hidden.get(group[0], False)


def _consistent(attributes: dict[str, str]) -> dict[str, str]:
    """Settle what does not go together."""
    fixed = dict(attributes)
    if fixed["lower"] == "dress":
        fixed.update(upper="blouse", lower_colour=fixed["upper_colour"], lower_pattern="plain")
    if fixed["lower"] == "jeans" and fixed["lower_colour"] not in JEANS:
        fixed["lower_colour"] = sorted(JEANS)[len(fixed["lower_colour"]) % len(JEANS)]
    if fixed["lower"] in ("jeans", "leggings") and fixed["lower_pattern"] != "sidestriped":
        fixed["lower_pattern"] = "plain"
    if fixed["lower"] == "skirt" and fixed["lower_pattern"] == "sidestriped":
        fixed["lower_pattern"] = "dotted"
    if fixed["upper"] == "vest":
        fixed["sleeves"] = "short"
    for colour, other in (("upper_accent", "upper_colour"), ("print_colour", "upper_colour"),
                          ("lower_accent", "lower_colour")):
        if fixed[colour] == fixed[other]:
            fixed[colour] = "white" if fixed[other] != "white" else "red"
    if fixed["outer_colour"] == fixed["upper_colour"]:
        fixed["outer_colour"] = "grey" if fixed["upper_colour"] != "grey" else "navy"
    return fixed


def _details(family: np.random.Generator, own: np.random.Generator, attributes: dict[str, str]) -> Details:
    girth = {"slim": 0.86, "average": 1.0, "stocky": 1.17}[attributes["build"]]
    shared = Details(
        height=family.uniform(0.95, 1.04), girth=girth, shoulders=family.uniform(0.94, 1.06),
        hips=family.uniform(0.95, 1.08), period=family.uniform(0.030, 0.075), duty=family.uniform(0.35, 0.6),
        hem=family.uniform(0.455, 0.51), opening=float(family.choice([0, 24, 34, 44])),
        print_angle=0.0, print_height=0.7, print_size=0.04, cuffs=0, belt=False, hem_band=False,
        socks=0.06, parting=0.0, collar=int(family.integers(3)), length=family.uniform(0, 1))
    return replace(
        shared, height=shared.height + own.uniform(-0.025, 0.025), girth=girth * own.uniform(0.94, 1.06),
        period=shared.period * own.choice([0.7, 1.0, 1.4]), hem=shared.hem + own.uniform(-0.02, 0.02),
        print_angle=float(own.choice([-24, 0, 24])), print_height=own.uniform(0.64, 0.75),
        print_size=own.uniform(0.03, 0.055), cuffs=int(own.choice(3, p=[0.4, 0.3, 0.3])),
        belt=bool(own.random() < 0.4), hem_band=bool(own.random() < 0.4), socks=own.uniform(0.05, 0.2),
        parting=own.uniform(-1, 1), length=min(1.0, max(0.0, shared.length + own.uniform(-0.2, 0.2))))


def _paint(family: np.random.Generator, own: np.random.Generator,
           attributes: dict[str, str]) -> dict[str, RGB]:
    paint = {}
    for name, table in (("skin", SKIN), ("hair_colour", HAIR)):
        paint[name.removesuffix("_colour")] = shade(own, table[attributes[name]], 0.8)
    for name in TABLES:
        if name.endswith(("_colour", "_accent")) and name != "hair_colour":
            key = name.removesuffix("_colour")
            paint[key] = shade(own, shade(family, CLOTH[attributes[name]]), 0.6)
    for key in ("cuff", "belt", "hem_band", "collar", "sole", "zip"):
        paint[key] = shade(own, CLOTH[pick(own, LIVELY)], 0.8)
    if attributes["lower"] == "dress":
        paint["lower"], paint["lower_accent"] = paint["upper"], paint["upper_accent"]
    return paint
