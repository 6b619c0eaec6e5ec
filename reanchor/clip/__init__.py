"""CLIP: its towers, its tokenizer, its files."""
