"""Patterned cloth: stripes, checks and dots hung on the body's own heights."""

from PIL import ImageDraw

from reanchor.streetfolk.canvas import Canvas, Paint
from reanchor.streetfolk.geometry import View
from reanchor.streetfolk.palette import RGB


def weave(canvas: Canvas, view: View, pattern: str, base: RGB, accent: RGB, period: float,
          duty: float) -> Paint:
    """Cloth of a pattern; `period` in body heights, `duty` the accent's share of it."""
    if pattern not in _PATTERNS:
        return base
    return canvas.cloth(base, lambda draw: _PATTERNS[pattern](draw, view, base, accent, period, duty))


def _across(draw: ImageDraw.ImageDraw, view: View, paint: RGB, period: float, thick: float) -> None:
    y = 0.1
    while y < 0.9:
        upper, lower = view.place(0, y + thick, 0)[1], view.place(0, y, 0)[1]
        draw.rectangle((0, upper, draw.im.size[0], lower), fill=paint)
        y += period


def _along(draw: ImageDraw.ImageDraw, view: View, paint: RGB, period: float, thick: float) -> None:
    steps = int(0.3 / period) + 1
    for k in range(-steps, steps + 1):
        left = view.x + (k * period - thick / 2) * view.scale
        draw.rectangle((left, 0, left + thick * view.scale, draw.im.size[1]), fill=paint)


def _striped(draw, view, base, accent, period, duty):
    _across(draw, view, accent, period, period * duty)


def _pinstriped(draw, view, base, accent, period, duty):
    _along(draw, view, accent, period * 0.8, max(period * 0.3, 0.012))


def _checked(draw, view, base, accent, period, duty):
    mixed = tuple((2 * a + b) // 3 for a, b in zip(accent, base, strict=True))
    _along(draw, view, mixed, period, period * duty * 0.7)
    _across(draw, view, accent, period, period * duty * 0.7)


def _dotted(draw, view, base, accent, period, duty):
    radius = max(0.011, period * 0.3) * view.scale
    step = max(0.032, period) * view.scale
    rows = int(0.9 * view.scale / step)
    for row in range(rows):
        y = view.ground - 0.1 * view.scale - row * step
        for column in range(-9, 10):
            x = view.x + (column + 0.5 * (row % 2)) * step
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=accent)


def _block(draw, view, base, accent, period, duty):
    edge = view.place(0, 0.62 + 0.08 * duty, 0)[1]
    draw.rectangle((0, edge, draw.im.size[0], draw.im.size[1]), fill=accent)


_PATTERNS = {"striped": _striped, "pinstriped": _pinstriped, "checked": _checked, "dotted": _dotted,
             "block": _block}
