"""Bags: a backpack, a satchel on a strap across the body, a handbag in the hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from reanchor.streetfolk.geometry import Lathe, hull
from reanchor.streetfolk.palette import darker, lighter

if TYPE_CHECKING:
    from reanchor.streetfolk.figure import Figure

Layer = tuple[float, Callable]


def layers(figure: Figure) -> list[Layer]:
    """The bag's pieces with their order of drawing (the trunk is 0)."""
    bag = figure.identity.bag
    if bag == "backpack":
        behind = -0.5 if figure.view.cos > 0 else 0.5
        return [(behind, _backpack), (0.1, _backpack_straps)]
    if bag == "satchel":
        near = figure.depth_of(_side(figure))
        return [(0.1, _satchel_strap), (0.9 if near > -0.09 else -1.9, _satchel)]
    if bag == "handbag":
        near = figure.depth_of(_side(figure))
        return [(0.95 + near if near > -0.06 else -2.2, _handbag)]
    return []


def _side(figure: Figure) -> int:
    return 0 if figure.identity.bag_side == "left" else 1


def _backpack(figure: Figure) -> None:
    paint, g = figure.paint("bag"), figure.identity.details.girth
    z = -0.075 * g - 0.05
    pack = Lathe(figure.view, (
        (0, 0.815, z, 0.05, 0.035), (0, 0.795, z, 0.084, 0.055), (0, 0.70, z, 0.095, 0.064),
        (0, 0.58, z, 0.095, 0.064), (0, 0.555, z, 0.08, 0.05)))
    figure.canvas.polygon(pack.outline(), paint, "bag")
    for piece in pack.patch(118, 242, 2.35, 3.6):
        figure.canvas.polygon(piece, lighter(paint, 0.18), "bag")
    for piece in pack.patch(95, 265, 1.2, 1.35):
        figure.canvas.polygon(piece, darker(paint, 0.6), "bag")


def _backpack_straps(figure: Figure) -> None:
    paint = darker(figure.paint("bag"), 0.85)
    shell = figure.trunk.between(0.832, 0.60, 1.1)
    for start, end in ((32, 48), (-48, -32)):
        for piece in shell.patch(start, end):
            figure.canvas.polygon(piece, paint, "strap")


def _satchel_strap(figure: Figure) -> None:
    """From the shoulder opposite the bag, over chest and back, down to the hip."""
    paint, shell = darker(figure.paint("bag"), 0.85), figure.trunk.between(0.836, 0.46, 1.1)
    sign = 1 if _side(figure) == 0 else -1
    for start, end in ((-58, 72), (238, 108)):
        run = []
        for k in range(9):
            angle = math.radians(sign * (start + (end - start) * k / 8))
            if shell.faces(angle) > -0.02:
                run.append(shell.surface(angle, shell.level(0.825 - 0.335 * k / 8)))
        if len(run) > 1:
            figure.canvas.line(run, paint, "strap", 0.02 * figure.view.scale)


def _box(figure: Figure, centre: tuple[float, float, float], size: tuple[float, float, float]) -> list:
    """Outline of a box: `size` is half its width (x), height (y), depth (z)."""
    return hull([figure.view.project(centre[0] + sx * size[0], centre[1] + sy * size[1],
                                     centre[2] + sz * size[2])
                 for sx in (-1, 1) for sy in (-1, 1) for sz in (-1, 1)])


def _satchel(figure: Figure) -> None:
    d, paint = figure.identity.details, figure.paint("bag")
    x = (0.15 * d.girth + 0.01) * (1 if _side(figure) == 0 else -1)
    figure.canvas.polygon(_box(figure, (x, 0.455, 0.01), (0.03, 0.058, 0.082)), paint, "bag")
    figure.canvas.polygon(_box(figure, (x, 0.485, 0.01), (0.032, 0.03, 0.084)), darker(paint, 0.8), "bag")


def _handbag(figure: Figure) -> None:
    paint, side = figure.paint("bag"), _side(figure)
    x, y, z = figure.pose.arms[side][2]
    x *= 1.06
    for dz in (-0.04, 0.04):
        handle = [figure.view.project(x, y - 0.01, z), figure.view.project(x, y - 0.07, z + dz)]
        figure.canvas.line(handle, darker(paint, 0.7), "bag", 0.012 * figure.view.scale)
    figure.canvas.polygon(_box(figure, (x, y - 0.115, z), (0.026, 0.05, 0.072)), paint, "bag")
    figure.canvas.polygon(_box(figure, (x, y - 0.078, z), (0.028, 0.014, 0.074)), lighter(paint, 0.25), "bag")
