"""Protocol cards: counts, camera rule and splits of the published datasets."""
