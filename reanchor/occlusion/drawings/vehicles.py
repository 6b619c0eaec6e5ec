"""Bike, car, motorbike."""

import math

from reanchor.occlusion.drawings.pen import RGB, Pen, Point, arc, dark, light

_TYRE: RGB = (26, 26, 28)
_STEEL: RGB = (176, 180, 186)


def _wheel(pen: Pen, centre: Point, radius: float, width: float = 2.6, spokes: int = 12) -> None:
    for k in range(spokes):
        a = 2 * math.pi * k / spokes
        pen.line([centre, (centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a))],
                 (150, 152, 156), 0.5)
    pen.ring(centre, radius, radius, _TYRE, width)
    pen.ring(centre, radius - width, radius - width, _STEEL, 0.7)
    pen.ellipse(centre, 2, 2, _STEEL)


def bike(pen: Pen, variant: int) -> None:
    """Sports bike (0), city bike with guards (1), hire bike with a basket (2), folding bike (3)."""
    paint: RGB = ((186, 36, 40), (34, 60, 110), (236, 186, 30), (46, 130, 86))[variant]
    radius = 12.5 if variant == 3 else 20
    rear, front, ground = (22, 88 - radius), (78, 88 - radius), 88 - radius
    crank, seat, head = (46, ground + 3), (38, 38), (69, 37)
    for wheel in (rear, front):
        _wheel(pen, wheel, radius)
        if variant in (1, 2):
            pen.line(arc(wheel, radius + 2.5, radius + 2.5, 200, 330), paint, 2)
    if variant in (1, 2, 3):
        low = (crank[0] + 4, crank[1] - 6)
        frame = [(rear, crank), (crank, seat), (low, (68, 46)), (rear, (40, 48))]
    else:
        frame = [(rear, crank), (crank, seat), (crank, (68, 44)), ((40, 45), (68, 42)), (rear, (40, 46))]
    for start, end in frame:
        pen.line([start, end], paint, 2.8)
    pen.line([(head[0], head[1] - 4), front], paint, 2.8)
    pen.line([(31, 35), (45, 35)], _TYRE, 4)
    if variant == 0:
        pen.line([(66, 31), (73, 30), *arc((74, 34), 4, 4, -90, 90)], _TYRE, 2)
    else:
        pen.line([(60, 29), (70, 29)], _TYRE, 2.6)
        pen.line([(69, 29), head], _STEEL, 2)
    if variant == 2:
        pen.polygon([(72, 32), (92, 32), (88, 48), (75, 48)], (120, 122, 124), width=1)
        for x in (77, 82, 87):
            pen.line([(x, 33), (x - 0.5, 47)], (70, 72, 74), 0.8)
    pen.ellipse(crank, 4.5, 4.5, _STEEL)
    pen.line([crank, (crank[0] + 5, crank[1] + 7)], _TYRE, 2)
    pen.line([(crank[0] + 2, crank[1] + 8), (crank[0] + 9, crank[1] + 8)], _TYRE, 2)


def motorbike(pen: Pen, variant: int) -> None:
    """Cruiser (0), sports bike (1), scooter (2), courier's moped with a box (3)."""
    paint: RGB = ((40, 42, 48), (190, 36, 38), (112, 178, 186), (232, 150, 40))[variant]
    radius = 12 if variant >= 2 else 17
    rear, front = (22, 90 - radius), (80, 90 - radius)
    pen.line([front, (66, 34)], _STEEL, 3.4)
    for wheel in (rear, front):
        pen.ellipse(wheel, radius, radius, _TYRE)
        pen.ellipse(wheel, radius * 0.6, radius * 0.6, _STEEL)
        pen.ellipse(wheel, radius * 0.32, radius * 0.32, (90, 92, 96))
    if variant >= 2:
        pen.polygon([(18, 60), (52, 58), (56, 78), (70, 78), (66, 36), (72, 36), (78, 70), (66, 84), (40, 84),
                     (14, 72)], paint, width=1)
        pen.polygon([(18, 56), (50, 52), (52, 60), (20, 62)], (36, 30, 30), width=1)
        pen.polygon([(66, 32), (74, 34), (80, 66), (70, 70)], light(paint, 0.2), width=1)
    else:
        pen.polygon([(30, 60), (56, 58), (62, 78), (36, 82)], (110, 112, 118), width=1)
        pen.ellipse((45, 70), 7, 7, _STEEL)
        pen.line([(48, 80), (10, 83)], _STEEL, 4)
        pen.polygon([(36, 56), (42, 44), (60, 42), (66, 52), (54, 60)], paint, width=1)
        pen.polygon([(10, 54), (16, 48), (38, 52), (40, 60), (20, 62)], (34, 28, 28), width=1)
        if variant == 1:
            pen.polygon([(56, 44), (70, 32), (80, 44), (72, 66), (54, 74), (52, 58)], paint, width=1)
            pen.polygon([(62, 36), (68, 24), (74, 34)], (150, 190, 206))
            pen.polygon([(6, 44), (20, 46), (30, 54), (16, 56)], paint)
    pen.line([(58, 26), (68, 30)], _TYRE, 3)
    pen.ellipse((74, 38), 5, 5, (250, 240, 190), edge=_STEEL, width=1.2)
    if variant == 3:
        pen.box(4, 26, 34, 54, (206, 44, 40), 2, width=1.2)
        pen.box(9, 34, 29, 42, (244, 240, 232))


def car(pen: Pen, variant: int) -> None:
    """Saloon from the side (0), hatchback from the side (1), van (2), a car from the front (3)."""
    paint: RGB = ((172, 40, 42), (60, 120, 190), (228, 228, 222), (58, 118, 84))[variant]
    if variant == 3:
        _car_front(pen, paint)
        return
    glass = (70, 92, 112)
    body = ([(3, 62), (6, 50), (26, 46), (36, 32), (64, 32), (78, 46), (95, 50), (97, 66), (95, 72), (4, 72)],
            [(4, 66), (5, 46), (14, 28), (58, 28), (76, 46), (94, 51), (96, 66), (95, 73), (4, 73)],
            [(3, 72), (3, 20), (68, 20), (82, 42), (95, 48), (97, 72)])[variant]
    pen.polygon(body, paint, width=1.2)
    panes = ([[(30, 46), (38, 35), (49, 35), (49, 46)], [(52, 46), (52, 35), (63, 35), (73, 46)]],
             [[(11, 45), (17, 32), (35, 32), (35, 45)], [(38, 45), (38, 32), (56, 32), (69, 45)]],
             [[(54, 42), (54, 25), (66, 25), (77, 42)]])[variant]
    for pane in panes:
        pen.polygon(pane, glass, edge=dark(paint))
        (x0, y0), (x1, y1) = pane[0], pane[1]
        pen.line([(x0 + 5, y0 - 1), (x1 + 5, y1 + 1)], light(glass, 0.4), 1.2)
    pen.line([(4, 57), (96, 57)], light(paint, 0.35), 1.4)
    pen.line([(50.5, 47), (50.5, 70)], dark(paint, 0.7), 0.8)
    pen.box(53, 52, 59, 54, dark(paint, 0.6), 0.5)
    pen.box(3, 66, 97, 72, (52, 54, 58), 1)
    pen.ellipse((93, 55), 2.6, 2.2, (252, 240, 190))
    pen.box(3, 50, 6, 56, (200, 40, 36), 1)
    for x in (22, 78):
        pen.ellipse((x, 72), 10, 10, _TYRE)
        pen.ellipse((x, 72), 6, 6, _STEEL)
        pen.ellipse((x, 72), 2.4, 2.4, (90, 92, 96))


def _car_front(pen: Pen, paint: RGB) -> None:
    for left in (14, 74):
        pen.box(left, 74, left + 12, 90, _TYRE, 2)
    pen.polygon([(26, 42), (34, 20), (66, 20), (74, 42)], paint, width=1.2)
    pen.polygon([(30, 41), (37, 24), (63, 24), (70, 41)], (76, 98, 118))
    pen.polygon([(40, 40), (46, 25), (52, 25), (46, 40)], (150, 172, 186), edge=(150, 172, 186))
    pen.polygon([(12, 50), (26, 41), (74, 41), (88, 50), (90, 76), (10, 76)], paint, width=1.2)
    pen.box(10, 70, 90, 82, (56, 58, 62), 3)
    pen.box(34, 56, 66, 67, (30, 32, 34), 2)
    pen.box(40, 71, 60, 78, (240, 240, 236), 1)
    for x in (21, 79):
        pen.ellipse((x, 58), 8, 6, (252, 244, 206), width=1.2)
    for x in (8, 92):
        pen.box(x - 5, 40, x + 5, 46, dark(paint, 0.85), 2)
