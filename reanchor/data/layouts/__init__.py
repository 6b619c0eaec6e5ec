"""Helpers that several datasets share: folders by split, pairs of sides, lists, records, cameras in names."""
