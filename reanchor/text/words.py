"""Sentences before they are tokenised: cleaning, and augmentation while training."""

import random
import re

MARKS = re.compile(r"[.!\"()*#:;~]")


def clean_sentence(text: str) -> str:
    """Lower case without . ! " ( ) * # : ; ~ and doubled blanks, as TBPS-CLIP's authors clean captions."""
    return " ".join(MARKS.sub(" ", text.lower()).split())


def delete_words(text: str, probability: float, rng: random.Random) -> str:
    """Each word goes with this probability; a sentence of one word stays, of none left one word at random stays.

    Source: EDA's random deletion (Wei and Zou, EMNLP 2019), as TBPS-CLIP uses it.
    """
    words = text.split()
    if len(words) < 2:
        return text
    kept = [word for word in words if rng.random() > probability]
    return " ".join(kept) if kept else words[rng.randint(0, len(words) - 1)]
