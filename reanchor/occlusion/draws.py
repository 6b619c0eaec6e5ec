"""Random draws that belong to one image, whatever the order or process it is treated in."""

import hashlib

import numpy as np


def image_seed(seed: int, image_id: str, purpose: str) -> int:
    """The 63-bit seed of one image's draw: a hash of the study's seed, the image and the purpose."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{image_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int) -> np.random.Generator:
    """The generator of a recorded seed: enough to repeat the draw."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
