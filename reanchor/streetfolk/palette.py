"""Named colours of clothes, hair and skin, and the shades an identity wears them in."""

import numpy as np

RGB = tuple[int, int, int]

CLOTH: dict[str, RGB] = {
    "black": (34, 34, 38), "white": (232, 232, 228), "grey": (134, 136, 140), "red": (190, 38, 42),
    "orange": (228, 124, 36), "yellow": (232, 202, 62), "green": (50, 130, 66), "blue": (46, 96, 186),
    "purple": (112, 58, 152), "pink": (232, 132, 168), "brown": (114, 72, 44), "beige": (208, 186, 148),
    "navy": (30, 38, 86), "olive": (108, 108, 54), "maroon": (108, 26, 44), "turquoise": (48, 172, 176),
}
HAIR: dict[str, RGB] = {
    "black": (26, 22, 24), "brown": (84, 54, 36), "blond": (216, 178, 98), "ginger": (180, 86, 34),
    "grey": (150, 150, 152), "white": (222, 222, 220), "blue": (60, 90, 170), "pink": (218, 110, 160),
}
SKIN: dict[str, RGB] = {
    "pale": (240, 206, 182), "tanned": (212, 164, 124), "brown": (154, 104, 70), "dark": (92, 60, 44),
}


def shade(rng: np.random.Generator, base: RGB, spread: float = 1.0) -> RGB:
    """A garment's own shade of a named colour: brightness and tint shifted a little, for good."""
    brightness = 1.0 + spread * rng.uniform(-0.16, 0.16)
    tint = spread * rng.uniform(-13, 13, size=3)
    return tuple(int(min(255, max(4, channel * brightness + t)))
                 for channel, t in zip(base, tint, strict=True))


def darker(colour: RGB, factor: float = 0.62) -> RGB:
    return int(colour[0] * factor), int(colour[1] * factor), int(colour[2] * factor)


def lighter(colour: RGB, share: float = 0.25) -> RGB:
    return tuple(int(channel + (255 - channel) * share) for channel in colour)
