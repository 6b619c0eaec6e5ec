"""What stands behind people: one street per camera, drawn once, looked at through a moving window."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from reanchor.streetfolk.identity import generator, pick
from reanchor.streetfolk.palette import darker, lighter

_WALLS = {"brick": 2, "shops": 2, "park": 2, "glass": 1, "road": 2, "fence": 1}
_WALL_COLOURS = ((150, 96, 80), (176, 166, 150), (120, 124, 132), (196, 186, 160), (96, 100, 110),
                 (140, 150, 140))
_GROUND_COLOURS = ((128, 126, 122), (104, 104, 108), (150, 140, 124), (96, 124, 76), (120, 96, 82),
                   (160, 160, 158))
_LEAVES = ((58, 104, 52), (76, 120, 60), (48, 84, 50))
_SPAN = 5.0  # a street's width, in picture heights


@lru_cache(maxsize=64)
def street(seed: int, camera: int, height: int) -> np.ndarray:
    """The camera's street: uint8 [1.3 height, 5 height, 3]."""
    rng = generator(seed, "street", camera)
    unit = 2 * height
    size = (int(_SPAN * unit), int(1.3 * unit))
    image = Image.new("RGB", size)
    draw = ImageDraw.Draw(image)
    horizon = rng.uniform(0.5, 0.72) * unit
    _wall(draw, rng, size, horizon, unit)
    _ground(draw, rng, size, horizon, unit)
    for _ in range(int(rng.integers(7, 14))):
        _FURNITURE[pick(rng, _FURNITURE_WEIGHTS)](draw, rng, rng.uniform(0, size[0]), horizon, unit)
    image = image.resize((size[0] // 2, size[1] // 2), Image.Resampling.BOX)
    image = image.filter(ImageFilter.GaussianBlur(0.006 * height))
    grain = rng.normal(0, 5, size=(image.height, image.width, 1))
    return np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)


def backdrop(rng: np.random.Generator, seed: int, camera: int, height: int, width: int) -> np.ndarray:
    """A window on the camera's street, uint8 [H, W, 3]: its place differs per picture, whoever is in it."""
    whole = street(seed, camera, height)
    zoom = rng.uniform(0.8, 1.25)
    rows, columns = min(whole.shape[0], int(height * zoom)), min(whole.shape[1], int(width * zoom))
    top = int(rng.uniform(0.35, 1.0) * (whole.shape[0] - rows))
    left = int(rng.random() * (whole.shape[1] - columns))
    window = Image.fromarray(whole[top:top + rows, left:left + columns])
    if rng.random() < 0.5:
        window = window.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(window.resize((width, height), Image.Resampling.BILINEAR))


def _colour(rng: np.random.Generator, choices: tuple) -> tuple[int, int, int]:
    base = choices[int(rng.integers(len(choices)))]
    return tuple(int(np.clip(c + rng.uniform(-22, 22), 0, 255)) for c in base)


def _wall(draw, rng, size, horizon, unit) -> None:
    kind, base = pick(rng, _WALLS), _colour(rng, _WALL_COLOURS)
    draw.rectangle((0, 0, size[0], horizon), fill=base)
    if kind == "brick":
        _bricks(draw, size, horizon, unit, base)
    if kind in ("brick", "shops", "glass"):
        _windows(draw, rng, size, horizon, unit, kind, base)
    elif kind == "park":
        draw.rectangle((0, 0, size[0], horizon * 0.5), fill=(176, 196, 212))
        for _ in range(60):
            _bush(draw, rng, rng.uniform(0, size[0]), rng.uniform(0.35, 1.0) * horizon, unit)
    elif kind == "road":
        draw.rectangle((0, horizon * 0.62, size[0], horizon), fill=(92, 92, 96))
        draw.rectangle((0, horizon * 0.8, size[0], horizon * 0.815), fill=(214, 210, 196))
    else:
        for x in range(0, size[0], int(0.09 * unit)):
            draw.rectangle((x, 0.3 * horizon, x + 0.025 * unit, horizon), fill=darker(base))


def _bricks(draw, size, horizon, unit, base) -> None:
    step = 0.045 * unit
    for row in range(int(horizon / step) + 1):
        draw.line((0, row * step, size[0], row * step), fill=darker(base, 0.85), width=2)
        for x in range(int((row % 2) * step), size[0], int(2.4 * step)):
            draw.line((x, row * step, x, (row + 1) * step), fill=darker(base, 0.85), width=2)


def _windows(draw, rng, size, horizon, unit, kind, base) -> None:
    pitch, share = {"brick": (0.36, 0.45), "shops": (0.85, 0.8), "glass": (0.22, 0.86)}[kind]
    x = rng.uniform(-0.2, 0) * unit
    while x < size[0]:
        wide = pitch * unit * share
        top, bottom = (0.1, 0.9) if kind != "brick" else (0.2, 0.62)
        glass = _colour(rng, ((70, 88, 108), (44, 54, 66), (120, 140, 156), (170, 160, 120)))
        draw.rectangle((x, top * horizon, x + wide, bottom * horizon), fill=glass, outline=lighter(base),
                       width=3)
        draw.polygon([(x + 0.2 * wide, top * horizon), (x + 0.45 * wide, top * horizon),
                      (x + 0.2 * wide, bottom * horizon), (x, bottom * horizon)], fill=lighter(glass, 0.15))
        if kind == "shops":
            awning = _colour(rng, ((170, 52, 48), (52, 104, 72), (48, 70, 130), (210, 180, 90)))
            draw.rectangle((x - 0.02 * unit, 0.02 * horizon, x + wide + 0.02 * unit, 0.16 * horizon),
                           fill=awning)
        x += pitch * unit


def _ground(draw, rng, size, horizon, unit) -> None:
    base = _colour(rng, _GROUND_COLOURS)
    draw.rectangle((0, horizon, size[0], size[1]), fill=base)
    draw.rectangle((0, horizon, size[0], horizon + 0.02 * unit), fill=darker(base, 0.75))
    step, y = 0.05 * unit, horizon
    while y < size[1]:
        draw.line((0, y, size[0], y), fill=darker(base, 0.9), width=2)
        y += step
        step *= 1.25
    slope = rng.uniform(-0.6, 0.6)
    for x in range(-size[1], size[0] + size[1], int(0.3 * unit)):
        draw.line((x, horizon, x + slope * (size[1] - horizon), size[1]), fill=darker(base, 0.9), width=2)


def _bush(draw, rng, x, y, unit) -> None:
    leaves = _colour(rng, _LEAVES)
    for _ in range(5):
        cx, cy = x + rng.normal(0, 0.06) * unit, y + rng.normal(0, 0.04) * unit
        r = rng.uniform(0.04, 0.1) * unit
        draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=lighter(leaves, rng.uniform(0, 0.12)))


def _tree(draw, rng, x, horizon, unit) -> None:
    draw.rectangle((x - 0.025 * unit, 0.1 * horizon, x + 0.025 * unit, horizon + 0.03 * unit),
                   fill=(86, 66, 50))
    for _ in range(4):
        _bush(draw, rng, x, rng.uniform(0.05, 0.35) * horizon, 1.4 * unit)


def _post(draw, rng, x, horizon, unit) -> None:
    draw.rectangle((x, 0, x + 0.03 * unit, horizon + 0.06 * unit),
                   fill=_colour(rng, ((70, 74, 80), (150, 150, 146))))
    if rng.random() < 0.5:
        sign = _colour(rng, ((180, 44, 40), (44, 84, 170), (220, 190, 60)))
        draw.rectangle((x - 0.08 * unit, 0.15 * horizon, x + 0.11 * unit, 0.36 * horizon), fill=sign)


def _car(draw, rng, x, horizon, unit) -> None:
    paint = _colour(rng, ((160, 40, 40), (50, 70, 120), (190, 190, 192), (40, 40, 44), (220, 214, 200)))
    base, wide = horizon + 0.05 * unit, 0.75 * unit
    draw.polygon([(x + 0.18 * wide, base - 0.19 * unit), (x + 0.3 * wide, base - 0.31 * unit),
                  (x + 0.7 * wide, base - 0.31 * unit), (x + 0.85 * wide, base - 0.19 * unit)],
                  fill=darker(paint, 0.5))
    draw.rectangle((x, base - 0.2 * unit, x + wide, base - 0.05 * unit), fill=paint)
    for centre in (0.2, 0.8):
        cx, r = x + centre * wide, 0.06 * unit
        draw.ellipse((cx - r, base - 0.05 * unit - r, cx + r, base - 0.05 * unit + r), fill=(28, 28, 30))


def _bin(draw, rng, x, horizon, unit) -> None:
    paint = _colour(rng, ((50, 86, 60), (70, 74, 80), (150, 120, 60)))
    draw.rectangle((x, horizon - 0.16 * unit, x + 0.14 * unit, horizon + 0.06 * unit), fill=paint,
                   outline=darker(paint), width=3)


def _hedge(draw, rng, x, horizon, unit) -> None:
    for k in range(5):
        _bush(draw, rng, x + 0.1 * k * unit, horizon - 0.02 * unit, unit)


_FURNITURE = {"tree": _tree, "post": _post, "car": _car, "bin": _bin, "hedge": _hedge}
_FURNITURE_WEIGHTS = {"tree": 2, "post": 2, "car": 2, "bin": 1, "hedge": 1}
