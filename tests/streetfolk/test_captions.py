"""Captions name what is seen, in words the vocabulary knows."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from reanchor.streetfolk.canvas import FEATURES
from reanchor.streetfolk.captions import BODY_PARTS, MAX_TOKENS, PROMPT, describe, tokens, vocabulary
from reanchor.streetfolk.identity import make_identity
from reanchor.streetfolk.palette import CLOTH
from reanchor.streetfolk.people import render_people
from reanchor.streetfolk.photo import Photo

# Words that give a feature away; no other feature is ever described by them.
TELLTALE = {
    "glasses": {"glasses", "spectacles", "sunglasses"}, "beard": {"beard"}, "scarf": {"scarf"},
    "headwear": {"cap", "beanie", "hat"},
    "shoes": {"trainers", "sneakers", "boots", "sandals", "shoes", "footwear"},
    "outer": {"jacket", "coat", "overcoat", "cardigan", "gilet"},
    "hair": {"hair", "curls", "ponytail", "bun", "bob"},
    "lower": {"trousers", "pants", "jeans", "leggings", "tights", "shorts", "skirt"},
    "print": {"logo", "square", "disc", "star", "cross", "band"},
    "sleeve": {"sleeved"}, "stripe": {"side"},
}
EVERYTHING = {
    "hair": "long", "glasses": "glasses", "beard": "beard", "scarf": "scarf", "headwear": "cap",
    "outer": "coat",
    "lower": "trousers", "lower_pattern": "sidestriped", "upper": "sweater", "upper_pattern": "plain",
    "print": "star", "shoes": "boots", "bag": "backpack",
}


def words_of(identity, seen, draws=150, yaw=45.0):
    """Words and how often they occur in many captions of one picture."""
    photo = Photo(np.empty(0), np.empty(0), dict.fromkeys(FEATURES, 0.1) | seen, yaw, False)
    rng = np.random.default_rng(0)
    return Counter(word for _ in range(draws) for word in tokens(describe(rng, identity, photo)))


@pytest.fixture(scope="module")
def wearer():
    base = make_identity(0, "captions", 0)
    return replace(base, attributes=base.attributes | EVERYTHING,
                   details=replace(base.details, opening=44.0))


@pytest.mark.parametrize("feature", sorted(TELLTALE))
def test_a_feature_is_named_when_seen_and_never_when_not(wearer, feature):
    assert words_of(wearer, {}).keys() & TELLTALE[feature]
    assert not words_of(wearer, {feature: 0.0}).keys() & TELLTALE[feature]


def test_nothing_seen_nothing_told(wearer):
    told = words_of(wearer, dict.fromkeys(FEATURES, 0.0))
    assert told.keys() <= set(tokens("a the this person pedestrian someone figure slim stocky . "
                                     "walks is walking strolls stands standing waits"))


def test_from_the_front_a_backpack_is_its_straps(wearer):
    photo = Photo(np.empty(0), np.empty(0), dict.fromkeys(FEATURES, 0.1) | {"bag": 0.0}, 0.0, True)
    rng = np.random.default_rng(0)
    captions = [describe(rng, wearer, photo) for _ in range(200)]
    named = [caption for caption in captions if "backpack" in caption or "rucksack" in caption]
    assert named and all("straps" in caption for caption in named)
    assert not words_of(wearer, {"bag": 0.0, "strap": 0.0}).keys() & {"backpack", "rucksack", "straps"}


def test_colours_named_are_worn():
    for k in range(40):
        identity = make_identity(3, "colours", k)
        worn = {value for name, value in identity.attributes.items()
                if name.endswith(("_colour", "_accent", "skin"))}
        assert words_of(identity, {}, draws=20).keys() & CLOTH.keys() <= worn


def test_rendered_captions_fit_the_side_the_vocabulary_and_the_context():
    people = render_people(4, "caption-words", range(60), 4, supersample=1)
    captions = [caption for pair in people.captions for caption in pair]
    known = set(vocabulary())
    lengths = [len(tokens(caption)) for caption in captions]
    assert {word for caption in captions for word in tokens(caption)} <= known
    assert max(lengths) <= MAX_TOKENS and np.mean(lengths) > 18
    assert len(set(captions)) > 0.98 * len(captions)
    assert all(caption.endswith(".") and "  " not in caption for caption in captions)
    assert all(caption == caption.lower() for caption in captions)
    unseen_face = [caption for caption in captions if "from behind" in caption or "facing away" in caption]
    assert unseen_face and not any(TELLTALE["glasses"] & set(tokens(caption)) for caption in unseen_face)


def test_vocabulary_covers_prompt_and_body_parts():
    known = vocabulary()
    assert known == sorted(set(known)) and len(known) < 200
    assert {".", ","} <= set(known)
    for text in (PROMPT, *BODY_PARTS):
        assert set(tokens(text)) <= set(known)
    assert tokens("Upper-body clothing, a.") == ["upper", "body", "clothing", ",", "a", "."]
