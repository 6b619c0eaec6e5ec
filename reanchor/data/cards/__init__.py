"""Protocol cards: one typed record per dataset, by the name of its option in conf/dataset."""

from reanchor.data.cards import occluded, own, persons, vehicles
from reanchor.data.cards.card import Card, require_usable_card

CARDS: dict[str, Card] = {card.name: card for cards in (persons, occluded, vehicles, own) for card in cards.CARDS}

__all__ = ["CARDS", "Card", "require_usable_card"]
