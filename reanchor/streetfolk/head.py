"""Head, face, hair and what is worn on them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reanchor.streetfolk.geometry import Lathe, hull
from reanchor.streetfolk.identity import NONE
from reanchor.streetfolk.palette import darker, lighter

if TYPE_CHECKING:
    from reanchor.streetfolk.figure import Figure

_Y, _Z = 0.923, 0.006  # centre of the head
_A, _B, _C = 0.056, 0.063, 0.077  # half-width, half-depth, half-height


def _ball(figure: Figure, grow: float = 1.0, top: float = 1.0, bottom: float = -1.0,
          lift: float = 0.0) -> Lathe:
    """The head's ellipsoid between two relative heights (1 crown, -1 chin), `grow` times as large."""
    rings = []
    for k in range(9):
        level = top + (bottom - top) * k / 8
        radius = max(0.08, math.sqrt(max(0.0, 1 - level * level)))
        jaw = 1.0 - 0.16 * max(0.0, -level)
        rings.append((0, _Y + lift + _C * grow * level, _Z, _A * grow * radius * jaw,
                      _B * grow * radius * jaw))
    return Lathe(figure.view, tuple(rings))


def neck(figure: Figure) -> None:
    g = figure.identity.details.girth
    rings = ((0, 0.885, 0, 0.030 * g, 0.03), (0, 0.80, 0, 0.04 * g, 0.036))
    figure.canvas.polygon(Lathe(figure.view, rings).outline(), darker(figure.paint("skin"), 0.85), "neck")


def head(figure: Figure) -> None:
    i, view = figure.identity, figure.view
    skull = _ball(figure)
    figure.canvas.polygon(skull.outline(), i.paint["skin"], "face")
    nose = [view.project(0, _Y + 0.008, _Z + _B * 0.98), view.project(0, _Y - 0.014, _Z + _B * 1.22),
            view.project(0, _Y - 0.022, _Z + _B * 0.95)]
    if view.cos > -0.3:
        figure.canvas.polygon(nose, darker(i.paint["skin"], 0.86), "face")
    _face(figure, skull)
    _hair(figure)
    if i.glasses != NONE:
        _glasses(figure)
    if i.headwear != NONE:
        _headwear(figure)


def _face(figure: Figure, skull: Lathe) -> None:
    canvas, skin, unit = figure.canvas, figure.paint("skin"), figure.view.scale
    if figure.identity.beard != NONE and figure.identity.hair != "bob":
        chin = _ball(figure, 1.04, -0.25, -1.0)
        for piece in chin.patch(-78, 78):
            canvas.polygon(piece, darker(figure.paint("hair"), 0.85), "beard")
    for angle in (-24, 24):
        if skull.faces(math.radians(angle)) > 0.15:
            x, y = skull.surface(math.radians(angle), 3.7)
            canvas.ellipse((x, y), 0.008 * unit, 0.006 * unit, (28, 24, 26), "face")
    for piece in skull.patch(-20, 20, 6.0, 6.35):
        canvas.polygon(piece, (150, 62, 62), "face")
    for angle in (90, -90):
        if skull.faces(math.radians(angle)) > 0.2:
            x, y = skull.surface(math.radians(angle), 4.2)
            canvas.ellipse((x, y), 0.011 * unit, 0.016 * unit, darker(skin, 0.82), "face")


def _hair(figure: Figure) -> None:
    i = figure.identity
    if i.hair == "bald":
        return
    paint, edge = i.paint["hair"], darker(i.paint["hair"], 0.7)
    grow = {"cropped": 1.05, "curly": 1.3, "bob": 1.14}.get(i.hair, 1.1)
    shell = _ball(figure, grow, 1.0, -0.9)
    fringe = {"cropped": 1.7, "bob": 3.4}.get(i.hair, 2.5)
    swept = 0.35 * i.details.parting
    for start, end, bottom in ((-180, 180, fringe - 0.5), (-80, 0, fringe + swept), (0, 80, fringe - swept)):
        for piece in shell.patch(start, end, 0, bottom):
            figure.canvas.polygon(piece, paint, "hair", paint)
    nape = {"cropped": 5.0, "short": 5.8, "curly": 6.8, "bun": 5.6, "ponytail": 5.6}.get(i.hair, 8.0)
    front = {"cropped": 82, "bob": 58, "long": 62, "curly": 68}.get(i.hair, 76)
    for piece in shell.patch(front, 360 - front, 0.3, nape):
        figure.canvas.polygon(piece, paint, "hair", edge)


def back_hair(figure: Figure) -> None:
    """What hangs or sits behind the head."""
    i, view = figure.identity, figure.view
    if i.hair in ("long", "bob"):
        end = 0.745 if i.hair == "long" else 0.85
        rings = ((0, 0.95, -0.012, 0.058, 0.058), (0, 0.88, -0.022, 0.068, 0.052),
                 (0, end, -0.04, 0.06, 0.036))
        figure.canvas.polygon(Lathe(view, rings).outline(), i.paint["hair"], "hair")
    elif i.hair == "ponytail":
        rings = ((0, 0.955, -0.075, 0.02, 0.02), (0, 0.90, -0.1, 0.03, 0.026), (0, 0.80, -0.09, 0.014, 0.014))
        figure.canvas.polygon(Lathe(view, rings).outline(), i.paint["hair"], "hair")
    elif i.hair == "bun":
        x, y = view.project(0, 0.965, -0.06)
        figure.canvas.ellipse((x, y), 0.036 * view.scale, 0.034 * view.scale, darker(i.paint["hair"], 0.9),
                              "hair")


def _glasses(figure: Figure) -> None:
    shell = _ball(figure, 1.06)
    dark = figure.identity.glasses == "sunglasses"
    frame = (18, 18, 22)
    if dark:
        for piece in shell.patch(-52, 52, 3.1, 4.7):
            figure.canvas.polygon(piece, frame, "glasses", frame)
    else:
        for start in (-46, 8):
            for piece in shell.patch(start, start + 38, 3.2, 4.6):
                figure.canvas.line(piece + piece[:1], frame, "glasses", 0.009 * figure.view.scale)
    for start in (45, -95):
        for piece in shell.patch(start, start + 50, 3.5, 3.9):
            figure.canvas.polygon(piece, frame, "face", frame)  # temples alone do not tell of glasses


def _headwear(figure: Figure) -> None:
    i, view = figure.identity, figure.view
    paint = i.paint["headwear"]
    grow = 1.32 if i.hair == "curly" else 1.17
    kind = i.headwear
    level = {"cap": 0.22, "beanie": 0.12, "hat": 0.3}[kind]
    crown = _ball(figure, grow, 1.0 if kind != "hat" else 0.86, level, lift=0.006)
    if kind == "hat":
        x, y = view.project(0, _Y + 0.03, _Z)
        figure.canvas.polygon(crown.outline(), paint, "headwear")
        figure.canvas.ellipse((x, y), 0.108 * view.scale, (0.016 + 0.1 * view.pitch) * view.scale,
                              darker(paint, 0.85), "headwear")
        return
    figure.canvas.polygon(crown.outline(), paint, "headwear")
    if kind == "beanie":
        for piece in crown.patch(-180, 180, 6.0, 8.0):
            figure.canvas.polygon(piece, lighter(paint, 0.2), "headwear")
        x, y = view.project(0, _Y + _C * grow + 0.01, _Z)
        figure.canvas.ellipse((x, y), 0.018 * view.scale, 0.018 * view.scale, lighter(paint, 0.3), "headwear")
    else:
        y = _Y + _C * grow * level
        peak = [view.project(x, y + dy, _Z + z) for x, dy, z in
                ((-0.058, 0.012, 0.035), (0.058, 0.012, 0.035), (-0.045, 0.0, 0.115), (0.045, 0.0, 0.115),
                 (0, -0.004, 0.13), (-0.058, 0.0, 0.035), (0.058, 0.0, 0.035))]
        if view.cos > -0.35:
            figure.canvas.polygon(hull(peak), darker(paint, 0.8), "headwear")
