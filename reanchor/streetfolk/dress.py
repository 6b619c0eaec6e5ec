"""Clothes on trunk, arms, hips and legs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reanchor.streetfolk.canvas import Paint
from reanchor.streetfolk.cloth import weave
from reanchor.streetfolk.geometry import Lathe, Tube, hull
from reanchor.streetfolk.identity import NONE
from reanchor.streetfolk.palette import RGB, darker, lighter

if TYPE_CHECKING:
    from reanchor.streetfolk.figure import Figure

_LEG_END = {"trousers": 1.98, "jeans": 1.98, "leggings": 1.94}  # in joints: 1 knee, 2 ankle


def _upper_cloth(figure: Figure) -> Paint:
    i, d = figure.identity, figure.identity.details
    return weave(figure.canvas, figure.view, i.upper_pattern, i.paint["upper"], i.paint["upper_accent"],
                 d.period, d.duty)


def _lower_cloth(figure: Figure) -> Paint:
    i, d = figure.identity, figure.identity.details
    pattern = i.upper_pattern if i.lower == "dress" and i.upper_pattern != "block" else i.lower_pattern
    return weave(figure.canvas, figure.view, pattern, i.paint["lower"], i.paint["lower_accent"],
                 d.period, d.duty)


def trunk(figure: Figure) -> None:
    """Upper garment with collar, print, hem and belt; over it the outerwear and scarf."""
    i = figure.identity
    body = figure.trunk
    hem = 0.5 if i.lower == "dress" else i.details.hem
    figure.canvas.polygon(body.between(0.838, hem).outline(), _upper_cloth(figure), "upper",
                          darker(i.paint["upper"], 0.72))
    _trimmings(figure, body, hem)
    _print(figure, body)
    if i.outer != NONE:
        _outerwear(figure, body)
    if i.scarf != NONE:
        _scarf(figure)


def _patches(figure: Figure, lathe: Lathe, start: float, end: float, top: float, bottom: float,
             paint: Paint, feature: str, edge: RGB | None = None) -> None:
    for piece in lathe.patch(start, end, lathe.level(top), lathe.level(bottom)):
        figure.canvas.polygon(piece, paint, feature, edge)


def _trimmings(figure: Figure, body: Lathe, hem: float) -> None:
    i, d = figure.identity, figure.identity.details
    if i.upper in ("shirt", "polo"):
        end = 0.7 if i.upper == "polo" else hem
        _patches(figure, body, -5, 5, 0.825, end, darker(i.paint["upper"], 0.8), "upper")
    if i.upper in ("shirt", "polo", "jersey"):
        _patches(figure, body, -180, 180, 0.838, 0.818, i.paint["collar"], "upper")
    if i.upper == "hoodie":
        _patches(figure, body, 110, 250, 0.835, 0.73, darker(i.paint["upper"], 0.8), "upper")
        _patches(figure, body, -38, 38, 0.60, 0.53, darker(i.paint["upper"], 0.82), "upper")
    if i.upper in ("vest", "blouse"):
        _patches(figure, body, -26, 26, 0.838, 0.79, i.paint["skin"], "neck")
    if d.hem_band and i.lower != "dress":
        _patches(figure, body, -180, 180, hem + 0.028, hem, i.paint["hem_band"], "upper")
    if d.belt and (i.lower == "dress" or hem > 0.485):
        _patches(figure, body, -180, 180, 0.535, 0.508, i.paint["belt"], "belt")


def _print(figure: Figure, body: Lathe) -> None:
    """The motif on the chest, and larger on the back."""
    i, d = figure.identity, figure.identity.details
    if i.print == NONE:
        return
    if i.print == "band":
        _patches(figure, body, -180, 180, d.print_height + 0.018, d.print_height - 0.025,
                 i.paint["print"], "print")
        return
    for angle, size in ((d.print_angle, d.print_size), (180.0, 1.25 * d.print_size)):
        if body.faces(math.radians(angle)) > 0.3:
            _motif(figure, body, math.radians(angle), size)


def _motif(figure: Figure, body: Lathe, angle: float, size: float) -> None:
    i, d = figure.identity, figure.identity.details
    x, y = body.surface(angle, body.level(d.print_height))
    ry = size * figure.view.scale
    rx = ry * max(0.25, body.faces(angle))
    paint = i.paint["print"]
    if i.print == "round":
        figure.canvas.ellipse((x, y), rx, ry, paint, "print")
    elif i.print == "cross":
        figure.canvas.polygon([(x - rx, y - ry / 3), (x + rx, y - ry / 3), (x + rx, y + ry / 3),
                               (x - rx, y + ry / 3)], paint, "print", paint)
        figure.canvas.polygon([(x - rx / 3, y - ry), (x + rx / 3, y - ry), (x + rx / 3, y + ry),
                               (x - rx / 3, y + ry)], paint, "print", paint)
    elif i.print == "star":
        spikes = [(x + rx * r * math.sin(k * math.pi / 5), y - ry * r * math.cos(k * math.pi / 5))
                  for k, r in enumerate((1.3, 0.5) * 5)]
        figure.canvas.polygon(spikes, paint, "print", paint)
    else:
        figure.canvas.polygon([(x - rx, y - ry), (x + rx, y - ry), (x + rx, y + ry), (x - rx, y + ry)],
                              paint, "print", paint)


def _outerwear(figure: Figure, body: Lathe) -> None:
    i, d = figure.identity, figure.identity.details
    shell = body.between(0.836, 0.44, 1.1)
    bottom = {"jacket": 0.47, "cardigan": 0.45, "gilet": 0.49, "coat": 0.44}[i.outer]
    start = d.opening or 0.01
    paint = i.paint["outer"]
    if i.outer == "coat":
        skirt = _skirt(figure, 0.52, 0.36 - 0.12 * d.length, 1.14, flare=1.16)
        for piece in skirt.patch(start, 360 - start):
            figure.canvas.polygon(piece, paint, "outer")
    _patches(figure, shell, start, 360 - start, 0.836, bottom, paint, "outer")
    if i.outer == "gilet":
        for height in (0.76, 0.70, 0.64, 0.58):
            _patches(figure, shell, start, 360 - start, height, height - 0.008, darker(paint, 0.75), "outer")
    if i.outer == "jacket":
        _patches(figure, shell, start, 360 - start, 0.495, 0.47, darker(paint, 0.7), "outer")
    if i.outer in ("jacket", "coat"):
        _patches(figure, shell, start, start + 22, 0.83, 0.71, lighter(paint, 0.14), "outer")
        _patches(figure, shell, -start - 22, -start, 0.83, 0.71, lighter(paint, 0.14), "outer")
    if i.outer == "coat" and d.belt:
        _patches(figure, shell, start, 360 - start, 0.575, 0.55, i.paint["belt"], "outer")
    if not d.opening:
        _patches(figure, shell, -3, 3, 0.82, bottom, i.paint["zip"], "outer")


def _scarf(figure: Figure) -> None:
    d, paint = figure.identity.details, figure.paint("scarf")
    ring = Lathe(figure.view, ((0, 0.862, 0, 0.05, 0.048), (0, 0.84, 0.004, 0.068 * d.girth, 0.058),
                               (0, 0.815, 0.006, 0.06, 0.058)))
    figure.canvas.polygon(ring.outline(), paint, "scarf")
    if figure.trunk.faces(math.radians(15)) > 0.1:
        for piece in figure.trunk.between(0.83, 0.66, 1.06).patch(6, 26):
            figure.canvas.polygon(piece, paint, "scarf")


def arm(figure: Figure, side: int) -> None:
    """Hand, sleeve of the upper garment, sleeve of the outerwear."""
    i, d, limb = figure.identity, figure.identity.details, figure.arms[side]
    skin = i.paint["skin"]
    figure.canvas.polygon(limb.outline(), skin, "arm")
    radius = 0.029 * figure.view.scale
    x, y = limb.end()
    figure.canvas.ellipse((x, y + 0.4 * radius), radius * 0.85, radius * 1.15, skin, "arm")
    reach = {"long": 1.95, "short": 0.75}[i.sleeves] if i.upper != "vest" else 0.12
    _sleeve(figure, limb.between(0, reach, 1.12, 1.1), _upper_cloth(figure), "sleeve", i.paint["upper"])
    if i.outer in ("jacket", "coat", "cardigan"):
        sleeve = limb.between(0, 1.95, 1.28, 1.1)
        _sleeve(figure, sleeve, i.paint["outer"], "outer_sleeve", i.paint["outer"])
        limb, reach = sleeve, 1.95
    if d.cuffs and reach > 0.5:
        low, high = ((reach - 0.2, reach) if d.cuffs == 1 else (0.32, 0.52))
        feature = "outer_sleeve" if i.outer in ("jacket", "coat", "cardigan") else "sleeve"
        cuff = limb.between(min(low, 2), min(high, 2), 1.2)
        figure.canvas.polygon(cuff.outline(), i.paint["cuff"], feature)


def _sleeve(figure: Figure, limb: Tube, paint: Paint, feature: str, base: RGB) -> None:
    x, y = figure.view.project(*limb.joints[0])
    radius = limb.radii[0] * figure.view.scale
    if not isinstance(paint, tuple):
        box = [(x - radius, y), (x - 0.7 * radius, y - 0.7 * radius), (x, y - radius),
               (x + 0.7 * radius, y - 0.7 * radius), (x + radius, y)]
        figure.canvas.polygon(box, paint, feature)
    else:
        figure.canvas.ellipse((x, y), radius, radius, paint, feature)
    figure.canvas.polygon(limb.outline(), paint, feature, darker(base, 0.72))


def _skirt(figure: Figure, top: float, bottom: float, grow: float = 1.0, flare: float = 1.35) -> Lathe:
    """From the hips to a hem wide enough for the stride."""
    d = figure.identity.details
    (_, left, _), (_, right, _) = figure.pose.legs
    stride = abs(left[2] - right[2]) * (0.47 - bottom) / 0.25
    a, b = 0.116 * d.girth * d.hips * grow, 0.083 * d.girth * grow
    depth = max(b * flare, 0.5 * stride + 0.05)
    middle = 0.5 * (left[2] + right[2])
    return Lathe(figure.view, ((0, top, 0, a * 0.97, b), (0, top - 0.06, 0, a * 1.02, b * 1.05),
                               (0, bottom, 0.5 * middle, a * flare * 0.92, depth)))


def hips(figure: Figure) -> None:
    """What joins the legs: the seat of trousers, or the whole of a skirt."""
    i, d = figure.identity, figure.identity.details
    cloth = _lower_cloth(figure)
    edge = darker(i.paint["lower"], 0.72)
    if i.lower in ("skirt", "dress"):
        skirt = _skirt(figure, 0.55, 0.36 - 0.16 * d.length)
        figure.canvas.polygon(skirt.outline(), cloth, "lower", edge)
        return
    seat = figure.trunk.between(0.57, 0.455, 0.98)
    figure.canvas.polygon(seat.outline(), cloth, "lower", None if isinstance(cloth, tuple) else edge)


def leg(figure: Figure, side: int) -> None:
    """Skin, sock, shoe, and the leg of the lower garment."""
    i, d, limb = figure.identity, figure.identity.details, figure.legs[side]
    figure.canvas.polygon(limb.outline(), i.paint["skin"], "leg")
    if i.shoes != "sandals":
        top = max(1.0, 2 - d.socks / 0.215)
        figure.canvas.polygon(limb.between(top, 2, 1.1).outline(), i.paint["socks"], "socks")
    _shoe(figure, side)
    if i.lower in ("skirt", "dress"):
        return
    end = _LEG_END.get(i.lower, 0.72 + 0.4 * d.length)
    thick, flare = {"leggings": (1.03, 1.0), "shorts": (1.16, 1.3)}.get(i.lower, (1.14, 1.22))
    trousers = limb.between(0, end, thick, flare)
    figure.canvas.polygon(trousers.outline(), _lower_cloth(figure), "lower", darker(i.paint["lower"], 0.72))
    if i.lower_pattern == "sidestriped":
        strip = trousers.strip(*((62, 118) if side == 0 else (-118, -62)))
        figure.canvas.polygon(strip, i.paint["lower_accent"], "stripe")
    if i.shoes == "boots":
        _boot(figure, limb)


def _boot(figure: Figure, limb: Tube) -> None:
    figure.canvas.polygon(limb.between(1.62, 2, 1.5, 1.1).outline(), figure.paint("shoes"), "shoes")


def _shoe(figure: Figure, side: int) -> None:
    i, view = figure.identity, figure.view
    x, y, z = figure.pose.legs[side][2]
    width, sole = 0.03, y - 0.042
    low = [view.project(x + dx, sole, z + dz) for dx, dz in
           ((-width, -0.035), (width, -0.035), (width, 0.06), (-width, 0.06), (-0.015, 0.095),
            (0.015, 0.095))]
    top = 0.03 if i.shoes == "sandals" else 0.012
    high = [view.project(x + dx, y + top * (1 if dz < 0.03 else -1), z + dz) for dx, dz in
            ((-0.028, -0.03), (0.028, -0.03), (0.028, 0.03), (-0.028, 0.03))]
    if i.shoes == "sandals":
        figure.canvas.polygon(hull(low + high), i.paint["skin"], "leg")
        high = [(px, py + 0.03 * view.scale) for px, py in high]
    figure.canvas.polygon(hull(low + high), i.paint["shoes"], "shoes")
    if i.shoes in ("trainers", "sandals"):
        thick = 0.012 * view.scale
        band = hull(low + [(px, py - thick) for px, py in low])
        figure.canvas.polygon(band, lighter(i.paint["sole"], 0.4), "shoes")
