"""CLIP: loading and pre-training it, its towers, its tokenizer."""
