"""Occlusion-robust person re-identification with CLIP."""
