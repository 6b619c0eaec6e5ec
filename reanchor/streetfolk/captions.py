"""Captions: two sentences at most, in many wordings, about nothing but what the picture shows.

A feature is named only where enough of its pixels are seen (`Photo.seen`), so a caption never tells of
a backpack's pouch from the front, of glasses from behind or of shoes outside the box.
"""

from __future__ import annotations

import re
from string import Formatter
from typing import TYPE_CHECKING

import numpy as np

from reanchor.streetfolk.identity import NONE, Identity
from reanchor.streetfolk.palette import CLOTH, HAIR, SKIN

if TYPE_CHECKING:
    from reanchor.streetfolk.photo import Photo

MAX_TOKENS = 37  # words and marks per caption: leaves room for start and end in a context of 40
SEEN = 0.006  # share of the picture from which a garment counts as seen
SEEN_SMALL = 0.0015  # the same for what is small by nature: glasses, straps, prints, stripes

# Synonyms; the first names the attribute.
_WORDS = {
    "shirt": ("shirt",), "blouse": ("blouse", "top"), "sweater": ("sweater", "jumper", "pullover"),
    "hoodie": ("hoodie", "hooded sweater"), "polo": ("polo shirt", "polo"), "vest": ("vest", "tank top"),
    "jersey": ("jersey", "top", "tee"),
    "jacket": ("jacket",), "coat": ("coat", "overcoat"), "cardigan": ("cardigan",),
    "gilet": ("gilet", "padded gilet", "sleeveless jacket"),
    "trousers": ("trousers", "pants"), "jeans": ("jeans", "denim trousers"),
    "leggings": ("leggings", "tights"),
    "shorts": ("shorts", "short trousers"), "skirt": ("skirt",), "dress": ("dress", "gown"),
    "trainers": ("trainers", "sneakers"), "boots": ("boots",), "sandals": ("sandals",),
    "shoes": ("shoes", "footwear"),
    "cap": ("cap", "baseball cap"), "beanie": ("beanie", "knitted hat"), "hat": ("hat", "brimmed hat"),
    "glasses": ("glasses", "spectacles"), "sunglasses": ("sunglasses", "dark glasses"),
    "scarf": ("scarf",), "beard": ("a beard",),
    "backpack": ("backpack", "rucksack"), "satchel": ("satchel", "shoulder bag"),
    "handbag": ("handbag", "hand bag"),
    "square": ("square", "logo"), "round": ("round print", "disc"), "star": ("star", "star print"),
    "cross": ("cross", "cross print"), "band": ("band", "wide stripe"),
}
_HAIR = {
    "bald": ("a bald head", "no hair"), "cropped": ("cropped {} hair", "very short {} hair"),
    "short": ("short {} hair", "{} hair cut short"), "curly": ("curly {} hair", "{} curls"),
    "bob": ("a {} bob", "{} hair in a bob"), "long": ("long {} hair", "{} long hair"),
    "ponytail": ("a {} ponytail", "{} hair in a ponytail"), "bun": ("{} hair in a bun", "a {} bun"),
}
_PATTERN = {
    "striped": ("striped {0} and {1} {2}", "{0} {2} with {1} stripes"),
    "pinstriped": ("{0} {2} with upright {1} stripes",),
    "checked": ("checked {0} and {1} {2}", "{0} {2} with {1} checks"),
    "dotted": ("dotted {0} and {1} {2}", "{0} {2} with {1} dots"),
    "block": ("two tone {0} and {1} {2}", "{0} {2} with {1} lower half"),
    "sidestriped": ("{0} {2} with {1} side stripes", "{0} {2} with {1} stripes down the side"),
    "plain": ("{0} {2}", "plain {0} {2}", "{0} {2}"),
}
_SLEEVES = {"long": ("long sleeved",), "short": ("short sleeved",)}
_LENGTHS = ("short", "long")
_SUBJECTS = ("a person", "the person", "a pedestrian", "this pedestrian", "someone", "a {} person",
             "a {} figure")
_BUILDS = {"slim": "slim", "stocky": "stocky"}
_VIEWS = {"front": ("seen from the front", "facing the camera"), "back": ("seen from behind", "facing away"),
          "side": ("seen from the side", "in profile")}
_PRINT = ("with {} on it", "showing {}", "bearing {}")
_STRAPS = ("{} straps of a backpack", "{} backpack straps")
_STRAP = "strap across the body"
_TEMPLATES = (
    "{who} wears {clothes}. {they} has {body}.",
    "{who} with {body} is wearing {clothes}.",
    "{who} {moves} in {clothes} and has {body}.",
    "dressed in {clothes}, {who} has {body}.",
    "{who} is dressed in {clothes}, with {body}.",
    "{who} has {body}, and wears {clothes}.",
    "with {body}, {who} {moves} wearing {clothes}.",
    "{clothes} are worn by {who} who has {body}.",
    "{who} {moves}. {they} wears {clothes}, and {body} can be seen.",
)
_BARE_TEMPLATES = ("{who} wears {clothes}.", "{who} {moves} in {clothes}.", "{who} is dressed in {clothes}.")
_EMPTY_TEMPLATES = ("{who} {moves}.",)
_THEY = ("the person", "the pedestrian")
_MOVES = {True: ("walks", "is walking", "strolls"), False: ("stands", "is standing", "waits")}
_GLUE = "a an and open , ."
# Texts beside captions that the same vocabulary must spell.
PROMPT = "a photo of a person."
BODY_PARTS = (
    "face and hair", "head and neck", "upper torso", "arms and sleeves", "waist and hips", "legs",
    "feet and shoes", "upper-body clothing", "lower-body clothing", "outerwear", "bag or backpack",
    "held object",
    "headwear", "overall colour", "colour of upper clothing", "colour of lower clothing",
    "texture and pattern",
    "logos and fine details", "overall appearance", "silhouette", "pose", "glasses", "shoes colour and style",
    "skin tone", "overall color", "color of upper clothing", "color of lower clothing",
    "shoes color and style",
)


def tokens(text: str) -> list[str]:
    """Lower-case words and the marks '.' and ','; hyphens split words."""
    return re.findall(r"[a-z]+|[.,]", text.lower())


def vocabulary() -> list[str]:
    """Every token a caption, the prompt or a body part's phrase can contain, sorted."""
    texts = [_GLUE, PROMPT, *BODY_PARTS, *_SUBJECTS, *_PRINT, *_STRAPS, _STRAP, *_THEY, *_LENGTHS, *CLOTH,
             *HAIR, *SKIN, *_BUILDS.values(), "skin"]
    for table in (_WORDS, _HAIR, _PATTERN, _SLEEVES, _VIEWS, _MOVES):
        texts += [wording for wordings in table.values() for wording in wordings]
    texts += [*_TEMPLATES, *_BARE_TEMPLATES, *_EMPTY_TEMPLATES]
    spelled = ("".join(literal for literal, *_ in Formatter().parse(text)) for text in texts)
    return sorted({token for text in spelled for token in tokens(text)})


def describe(rng: np.random.Generator, identity: Identity, photo: Photo) -> str:
    """One caption of at most `MAX_TOKENS` tokens."""
    clothes, body = _clothes(rng, identity, photo), _body(rng, identity, photo)
    who, moves, they = _who(rng, identity, photo), _one(rng, _MOVES[photo.walking]), _one(rng, _THEY)
    rng.shuffle(body)
    if rng.random() < 0.4:
        rng.shuffle(clothes)
    templates = (_TEMPLATES if body else _BARE_TEMPLATES) if clothes else _EMPTY_TEMPLATES
    template = _one(rng, templates)
    while True:
        text = template.format(who=who, they=they, moves=moves, clothes=_list(clothes), body=_list(body))
        if len(tokens(text)) <= MAX_TOKENS:
            return text
        longer = body if len(body) > 1 and (len(body) >= len(clothes) or len(clothes) < 3) else clothes
        if len(longer) < 2:
            who, they = "a person", "the person"
            longer = body if len(body) > 1 else clothes
        longer.pop()


def _clothes(rng: np.random.Generator, i: Identity, photo: Photo) -> list[str]:
    seen = photo.seen
    found = []
    if i.outer != NONE and seen["outer"] >= SEEN:
        found.append(_outer(rng, i, seen))
    if seen["upper"] + seen["sleeve"] >= SEEN and i.lower != "dress":
        found.append(_upper(rng, i, seen))
    if i.lower == "dress" and seen["upper"] + seen["lower"] >= SEEN:
        found.append(_a(_patterned(rng, _dress_pattern(i), i.upper_colour, i.upper_accent,
                                   _one(rng, _WORDS["dress"]))))
    elif i.lower != "dress" and seen["lower"] >= SEEN:
        found.append(_lower(rng, i, seen))
    if seen["shoes"] >= SEEN and rng.random() < 0.7:
        found.append(f"{i.shoes_colour} {_one(rng, _WORDS[i.shoes])}")
    if i.headwear != NONE and seen["headwear"] >= SEEN and rng.random() < 0.85:
        found.append(_a(f"{i.headwear_colour} {_one(rng, _WORDS[i.headwear])}"))
    if i.scarf != NONE and seen["scarf"] >= SEEN_SMALL and rng.random() < 0.8:
        found.append(_a(f"{i.scarf_colour} scarf"))
    return found


def _dress_pattern(i: Identity) -> str:
    """A dress of two blocks has the second colour above the waist only: too little to call."""
    return "plain" if i.upper_pattern == "block" else i.upper_pattern


def _outer(rng: np.random.Generator, i: Identity, seen: dict[str, float]) -> str:
    opened = i.details.opening > 0 and seen["upper"] >= SEEN and rng.random() < 0.5
    return _a(f"{'open ' if opened else ''}{i.outer_colour} {_one(rng, _WORDS[i.outer])}")


def _upper(rng: np.random.Generator, i: Identity, seen: dict[str, float]) -> str:
    pattern = i.upper_pattern
    if pattern == "block" and seen["upper"] < 4 * SEEN:
        pattern = "plain"
    noun = _one(rng, _WORDS[i.upper])
    if i.upper != "vest" and seen["sleeve"] >= SEEN and rng.random() < 0.45:
        noun = f"{_one(rng, _SLEEVES[i.sleeves])} {noun}"
    phrase = _a(_patterned(rng, pattern, i.upper_colour, i.upper_accent, noun))
    if i.print != NONE and seen["print"] >= SEEN_SMALL and rng.random() < 0.75:
        phrase += " " + _one(rng, _PRINT).format(_a(f"{i.print_colour} {_one(rng, _WORDS[i.print])}"))
    return phrase


def _lower(rng: np.random.Generator, i: Identity, seen: dict[str, float]) -> str:
    pattern = i.lower_pattern
    if pattern == "sidestriped" and seen["stripe"] < SEEN_SMALL:
        pattern = "plain"
    noun = _one(rng, _WORDS[i.lower])
    if i.lower == "skirt":
        if rng.random() < 0.4:
            noun = f"{_LENGTHS[i.details.length > 0.5]} {noun}"
        return _a(_patterned(rng, pattern, i.lower_colour, i.lower_accent, noun))
    return _patterned(rng, pattern, i.lower_colour, i.lower_accent, noun)


def _body(rng: np.random.Generator, i: Identity, photo: Photo) -> list[str]:
    seen = photo.seen
    found = []
    bald = i.hair == "bald" and i.headwear == NONE and seen["face"] >= SEEN
    if (bald or (i.hair != "bald" and seen["hair"] >= SEEN)) and rng.random() < 0.85:
        found.append(_one(rng, _HAIR[i.hair]).format(i.hair_colour))
    if i.glasses != NONE and seen["glasses"] >= SEEN_SMALL and rng.random() < 0.8:
        found.append(_one(rng, _WORDS[i.glasses]))
    if i.beard != NONE and seen["beard"] >= SEEN_SMALL and rng.random() < 0.8:
        found.append("a beard")
    if seen["face"] + seen["arm"] + seen["leg"] >= 2 * SEEN and rng.random() < 0.15:
        found.append(f"{i.skin} skin")
    if bag := _bag(rng, i, seen):
        found.append(bag)
    return found


def _bag(rng: np.random.Generator, i: Identity, seen: dict[str, float]) -> str:
    if i.bag == NONE or rng.random() < 0.1:
        return ""
    if seen["bag"] >= SEEN:
        return _a(f"{i.bag_colour} {_one(rng, _WORDS[i.bag])}")
    if seen["strap"] >= SEEN_SMALL:
        if i.bag == "backpack":
            return _one(rng, _STRAPS).format(i.bag_colour)
        return _a(f"{i.bag_colour} {_STRAP}")
    return ""


def _who(rng: np.random.Generator, i: Identity, photo: Photo) -> str:
    subject = _one(rng, _SUBJECTS)
    if "{}" in subject:
        subject = subject.format(_BUILDS[i.build]) if i.build in _BUILDS else "a person"
    if rng.random() < 0.2:
        facing = np.cos(np.radians(photo.yaw))
        view = "front" if facing > 0.75 else "back" if facing < -0.75 else "side" if abs(facing) < 0.5 else ""
        if view:
            subject += " " + _one(rng, _VIEWS[view])
    return subject


def _patterned(rng: np.random.Generator, pattern: str, colour: str, accent: str, noun: str) -> str:
    return _one(rng, _PATTERN[pattern]).format(colour, accent, noun)


def _a(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeio' else 'a'} {phrase}"


def _one(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _list(phrases: list[str]) -> str:
    return " and ".join([", ".join(phrases[:-1]), phrases[-1]] if len(phrases) > 1 else phrases)
