"""A pen for cut-outs: coordinates from 0 to 100 on a transparent square, y downwards."""

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

RGB = tuple[int, int, int]
Point = tuple[float, float]


def dark(colour: RGB, factor: float = 0.6) -> RGB:
    return tuple(int(c * factor) for c in colour)


def light(colour: RGB, share: float = 0.3) -> RGB:
    return tuple(int(c + (255 - c) * share) for c in colour)


def arc(centre: Point, rx: float, ry: float, start: float, end: float, steps: int = 24) -> list[Point]:
    """Points on an ellipse; degrees clockwise from the right."""
    angles = [math.radians(start + (end - start) * k / steps) for k in range(steps + 1)]
    return [(centre[0] + rx * math.cos(a), centre[1] + ry * math.sin(a)) for a in angles]


class Pen:
    """Draws on `image`, a transparent RGBA square of `pixels` a side."""

    def __init__(self, pixels: int):
        self.image = Image.new("RGBA", (pixels, pixels), (0, 0, 0, 0))
        self.unit = pixels / 100
        self._draw = ImageDraw.Draw(self.image)

    def polygon(self, points: Sequence[Point], paint: RGB, edge: RGB | None = None, width: float = 0.7) -> None:
        scaled = self._scaled(points)
        self._draw.polygon(scaled, fill=(*paint, 255))
        self._draw.line([*scaled, scaled[0], scaled[1]], fill=(*(edge or dark(paint)), 255),
                        width=self._width(width), joint="curve")

    def line(self, points: Sequence[Point], paint: RGB, width: float) -> None:
        """A stroke with round ends."""
        scaled, half = self._scaled(points), width * self.unit / 2
        self._draw.line(scaled, fill=(*paint, 255), width=self._width(width), joint="curve")
        for x, y in (scaled[0], scaled[-1]):
            self._draw.ellipse((x - half, y - half, x + half, y + half), fill=(*paint, 255))

    def ellipse(self, centre: Point, rx: float, ry: float, paint: RGB, edge: RGB | None = None,
                width: float = 0.7) -> None:
        box = self._scaled([(centre[0] - rx, centre[1] - ry), (centre[0] + rx, centre[1] + ry)])
        self._draw.ellipse(box, fill=(*paint, 255), outline=(*(edge or dark(paint)), 255),
                           width=self._width(width))

    def ring(self, centre: Point, rx: float, ry: float, paint: RGB, width: float) -> None:
        box = self._scaled([(centre[0] - rx, centre[1] - ry), (centre[0] + rx, centre[1] + ry)])
        self._draw.ellipse(box, outline=(*paint, 255), width=self._width(width))

    def box(self, left: float, top: float, right: float, bottom: float, paint: RGB, round_: float = 0.0,
            edge: RGB | None = None, width: float = 0.7) -> None:
        corners = self._scaled([(left, top), (right, bottom)])
        self._draw.rounded_rectangle(corners, round_ * self.unit, fill=(*paint, 255),
                                     outline=(*(edge or dark(paint)), 255), width=self._width(width))

    def _scaled(self, points: Sequence[Point]) -> list[Point]:
        return [(x * self.unit, y * self.unit) for x, y in points]

    def _width(self, width: float) -> int:
        return max(1, round(width * self.unit))
