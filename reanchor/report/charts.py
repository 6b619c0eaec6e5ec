"""Line charts as inline SVG: no image library, sharp at any size, colours from the page's style."""

from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup, escape

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 40
COLOURS = 8  # classes c0 .. c7 in style.css


@dataclass(frozen=True)
class Series:
    """One line; `low` and `high` draw its interval as a band. NaN values are left out."""

    name: str
    x: list[float]
    y: list[float]
    colour: int
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)


def line_chart(
    series: list[Series],
    x_label: str,
    y_label: str,
    *,
    zero: bool = False,
    percent_x: bool = False,
    markers: bool = True,
) -> Markup:
    """An SVG of the lines; `zero` keeps 0 in view and marks it, `percent_x` shows 0.3 as 30 %."""
    x_low, x_high, y_low, y_high = _limits(series, zero)
    frame = _Frame(x_low, x_high, y_low, y_high)
    x_ticks = sorted({x for s in series for x in s.x}) if percent_x else ticks(x_low, x_high, 5)
    parts = [_grid(frame, ticks(y_low, y_high, 5), x_ticks, percent_x)]
    if y_low < 0 < y_high:
        y = f"{frame.y(0):.1f}"
        parts.append(f'<line class="zero" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
    parts += [_band(frame, s) for s in series if s.low]
    parts += [_line(frame, s, markers) for s in series]
    parts.append(f'<text class="axis" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">'
                 f"{escape(x_label)}</text>")
    parts.append(f'<text class="axis" transform="translate(12 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
                 f'text-anchor="middle">{escape(y_label)}</text>')
    label = escape(f"{y_label} against {x_label}: " + ", ".join(s.name for s in series))
    return Markup(f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
                  + "".join(parts) + "</svg>")


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers within [low, high]: multiples of 1, 2, 2.5 or 5 times a power of ten."""
    raw = (high - low) / about
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = np.ceil(low / step - 1e-9)
    return [float(k * step) for k in np.arange(first, np.floor(high / step + 1e-9) + 1)]


@dataclass(frozen=True)
class _Frame:
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        return LEFT + (value - self.x_low) / (self.x_high - self.x_low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * (HEIGHT - TOP - BOTTOM)

    def points(self, xs: list[float], ys: list[float]) -> list[str]:
        return [f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in zip(xs, ys, strict=True) if np.isfinite(y)]


def _limits(series: list[Series], zero: bool) -> tuple[float, float, float, float]:
    x = np.concatenate([np.asarray(s.x, float) for s in series])
    y = np.concatenate([np.asarray(v, float) for s in series for v in (s.y, s.low, s.high)])
    y = y[np.isfinite(y)]
    y_low, y_high = float(y.min()), float(y.max())
    if zero:
        y_low, y_high = min(y_low, 0.0), max(y_high, 0.0)
    margin = 0.06 * (y_high - y_low) or 0.5
    x_low, x_high = float(x.min()), float(x.max())
    pad = 0.02 * (x_high - x_low) or 0.5
    floor = y_low if zero and y_low == 0 else y_low - margin
    return x_low - pad, x_high + pad, floor, y_high + margin


def _grid(frame: _Frame, y_ticks: list[float], x_ticks: list[float], percent_x: bool) -> str:
    parts = []
    for value in y_ticks:
        y = frame.y(value)
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(value)}</text>'
        )
    for value in x_ticks:
        text = f"{100 * value:.0f} %" if percent_x else _number(value)
        parts.append(f'<text class="tick" x="{frame.x(value):.1f}" y="{HEIGHT - BOTTOM + 16}" '
                     f'text-anchor="middle">{text}</text>')
    return "".join(parts)


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def _band(frame: _Frame, s: Series) -> str:
    outline = frame.points(s.x, s.high) + frame.points(s.x, s.low)[::-1]
    return f'<polygon class="band c{s.colour % COLOURS}" points="{" ".join(outline)}"/>'


def _line(frame: _Frame, s: Series, markers: bool) -> str:
    colour = f"c{s.colour % COLOURS}"
    points = frame.points(s.x, s.y)
    title = f"<title>{escape(s.name)}</title>"
    drawn = f'<polyline class="line {colour}" points="{" ".join(points)}">{title}</polyline>'
    if not markers and len(points) > 1:
        return drawn
    dots = [f'<circle class="dot {colour}" cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="3.2">'
            f"<title>{escape(s.name)}: {_number(round(y, 2))}</title></circle>"
            for p, y in zip(points, [y for y in s.y if np.isfinite(y)], strict=True)]
    return drawn + "".join(dots)
