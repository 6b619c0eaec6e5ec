"""A model that was trained elsewhere, judged beside those trained here."""
