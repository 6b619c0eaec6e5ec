"""Protocol cards: one typed record per dataset, by the name of its option in conf/dataset."""

from reanchor.data.cards import occluded, own, persons, text, vehicles
from reanchor.data.cards.card import Card
from reanchor.errors import ReanchorError

CARDS: dict[str, Card] = {card.name: card for cards in (persons, occluded, vehicles, text, own) for card in cards.CARDS}


def require_usable_card(card: Card, reader: str, acknowledged: bool) -> None:
    """Refuse a reader that is not the card's, and a withdrawn dataset that nobody has answered for.

    A withdrawn dataset's reader stands for it where there is no card.

    Raises:
        ReanchorError: naming prepare.reader or prepare.acknowledge_withdrawn.
    """
    if card.reader not in ("", reader):
        raise ReanchorError(f"prepare.reader: got {reader!r} with prepare.card {card.name!r}; allowed: "
                            f"{card.reader!r} (compose with dataset={card.name}), or prepare.card=none")
    known = card if card.reader else next(other for other in CARDS.values() if other.reader == reader)
    if known.withdrawn and not acknowledged:
        raise ReanchorError(f"prepare.acknowledge_withdrawn: got false, but {known.title} was withdrawn "
                            f"({known.withdrawn}); set it to true only if you may still use the images, or "
                            "choose another dataset")
