"""What stands in a street: bench, card (notice board), chair, fire hydrant, post, road sign, stone."""

import math

import numpy as np

from reanchor.occlusion.drawings.pen import RGB, Pen, arc, dark, light

_IRON: RGB = (44, 46, 50)
_WOODS: tuple[RGB, ...] = ((176, 112, 60), (206, 164, 100), (122, 74, 44), (148, 150, 152))


def bench(pen: Pen, variant: int) -> None:
    """With a slatted back (0, 2), backless (1), or of stone slabs (3)."""
    wood = _WOODS[variant]
    if variant == 3:
        pen.polygon([(4, 46), (96, 46), (90, 38), (10, 38)], light(wood, 0.35))
        pen.box(4, 46, 96, 55, wood)
        for left in (12, 76):
            pen.polygon([(left, 55), (left + 13, 55), (left + 15, 78), (left - 2, 78)], dark(wood, 0.8))
        return
    for left in (12, 82):
        pen.line([(left, 52), (left - 3, 80)], _IRON, 3.4)
        pen.line([(left + 6, 52), (left + 9, 80)], _IRON, 3.4)
        if variant != 1:
            pen.line([(left + 3, 54), (left, 22)], _IRON, 3.4)
            pen.line([(left, 40), (left + 8, 40), (left + 9, 52)], _IRON, 2.6)
    if variant != 1:
        rows = 3 if variant == 0 else 5
        for k in range(rows):
            top = 21 + k * 24 / rows
            pen.box(5, top, 95, top + 17 / rows + 1, wood, 1)
    for k in range(3):
        top = 47 + 3.8 * k
        pen.polygon([(6 - 1.5 * k, top), (94 + 1.5 * k, top), (95 + 1.5 * k, top + 3.2),
                     (5 - 1.5 * k, top + 3.2)],
                    light(wood, 0.12))


def card(pen: Pen, variant: int) -> None:
    """A notice: A-board (0), framed stand (1), poster column (2), hanging banner (3)."""
    if variant == 0:
        pen.polygon([(30, 10), (70, 10), (80, 92), (20, 92)], (92, 58, 36), width=1)
        pen.polygon([(34, 16), (66, 16), (73, 82), (27, 82)], (38, 52, 46))
        _writing(pen, 35, 24, 65, 76, (228, 226, 210), 6, 2.2)
    elif variant == 1:
        pen.line([(50, 60), (50, 94)], _IRON, 4)
        pen.line([(30, 95), (70, 95)], _IRON, 3)
        pen.box(24, 6, 76, 68, (40, 42, 46), 2)
        pen.box(28, 10, 72, 64, (240, 238, 228))
        pen.box(28, 10, 72, 24, (190, 48, 44))
        _writing(pen, 33, 30, 67, 60, (84, 86, 90), 6, 1.8)
    elif variant == 2:
        pen.box(26, 5, 74, 95, (178, 40, 44), 2)
        pen.box(31, 10, 69, 30, (244, 236, 220))
        pen.box(31, 34, 69, 84, (232, 216, 150))
        _writing(pen, 35, 15, 65, 28, (60, 60, 66), 3, 2)
        _writing(pen, 35, 39, 65, 82, (120, 60, 40), 8, 2)
    else:
        pen.line([(50, 4), (50, 12)], _IRON, 2)
        pen.polygon([(28, 12), (72, 12), (72, 88), (50, 96), (28, 88)], (44, 92, 176), width=1)
        pen.ellipse((50, 34), 14, 14, (246, 214, 70))
        _writing(pen, 35, 56, 65, 84, (240, 244, 250), 5, 2.4)


def _writing(pen: Pen, left: float, top: float, right: float, bottom: float, paint: RGB, rows: int,
             width: float) -> None:
    for k in range(rows):
        y = top + (bottom - top) * (k + 0.5) / rows
        end = right - (right - left) * (0.0, 0.25, 0.1, 0.4)[k % 4]
        pen.line([(left, y), (end, y)], paint, width)


def chair(pen: Pen, variant: int) -> None:
    """A wooden chair (0), park armchair (1), office chair (2), plastic chair (3)."""
    if variant == 2:
        paint = (40, 44, 54)
        pen.line([(50, 58), (50, 82)], (140, 142, 146), 4)
        for x in (26, 40, 60, 74):
            pen.line([(50, 82), (x, 91)], _IRON, 3)
            pen.ellipse((x, 93), 3, 3, (20, 20, 22))
        pen.box(31, 6, 69, 46, paint, 8)
        pen.box(36, 11, 64, 41, light(paint, 0.15), 6)
        pen.box(26, 50, 74, 61, paint, 5)
        for x in (24, 76):
            pen.line([(x, 56), (x, 42)], _IRON, 2.6)
            pen.line([(x - 3, 41), (x + 3, 41)], paint, 4)
        return
    paint = ((170, 104, 52), (58, 98, 66), None, (226, 228, 230))[variant]
    for x, top in ((29, 56), (71, 56), (35, 52), (65, 52)):
        pen.line([(x, top), (x + (x - 50) * 0.12, 95 if top == 56 else 88)], dark(paint, 0.8), 4)
    pen.polygon([(34, 50), (66, 50), (74, 60), (26, 60)], light(paint, 0.15), width=1)
    if variant == 3:
        pen.polygon([(32, 8), (68, 8), (70, 48), (30, 48)], paint, width=1)
        for x in (40, 47, 54, 61):
            pen.line([(x, 14), (x, 40)], dark(paint, 0.75), 1.6)
        return
    pen.line([(33, 52), (30, 8)], paint, 4)
    pen.line([(67, 52), (70, 8)], paint, 4)
    if variant == 0:
        for y in (12, 24, 36):
            pen.box(31, y, 69, y + 5, paint)
    else:
        pen.line([(30, 9), (70, 9)], paint, 5)
        for x in (38, 46, 54, 62):
            pen.line([(x, 10), (x, 50)], paint, 2.4)
        for side in (-1, 1):
            pen.line([(50 + 19 * side, 38), (50 + 25 * side, 40), (50 + 24 * side, 58)], paint, 3.4)


def firehydrant(pen: Pen, variant: int) -> None:
    """Red, yellow, blue with a white bonnet, tall silver."""
    paint: RGB = ((186, 34, 36), (234, 184, 40), (44, 92, 168), (150, 154, 160))[variant]
    bonnet = ((186, 34, 36), (60, 130, 70), (238, 238, 234), (196, 52, 44))[variant]
    slim = 2 if variant == 3 else 0
    pen.box(28, 88, 72, 95, dark(paint, 0.8), 1)
    pen.box(34 + slim, 36, 66 - slim, 89, paint, 1)
    pen.box(36 + slim, 37, 42, 88, light(paint, 0.4), 2, edge=light(paint, 0.4))
    pen.box(30, 74, 70, 80, dark(paint, 0.85), 2)
    pen.box(29, 32, 71, 38, dark(bonnet, 0.9), 2)
    pen.polygon(arc((50, 32), 18, 19, 180, 360), bonnet)
    pen.box(46, 6, 54, 15, bonnet, 1)
    for left, right in ((20, 34), (66, 80)):
        pen.box(left, 47, right, 59, dark(paint, 0.9), 2)
        outer = left - 4 if left < 50 else right
        pen.box(outer, 45, outer + 4, 61, dark(bonnet, 0.8), 1)
    pen.ellipse((50, 56), 10, 10, dark(bonnet, 0.85))
    pen.ellipse((50, 56), 5, 5, light(bonnet, 0.2))
    if variant == 2:
        pen.box(34, 66, 66, 71, (238, 238, 234))


def post(pen: Pen, variant: int) -> None:
    """A fluted column (0), banded bollard (1), timber post (2), street lamp (3)."""
    if variant == 0:
        stone = (214, 208, 194)
        pen.box(34, 90, 66, 97, stone)
        pen.box(38, 12, 62, 90, stone)
        for x in (42, 47, 52, 57):
            pen.line([(x, 15), (x, 88)], dark(stone, 0.75), 1.3)
        pen.box(33, 3, 67, 8, stone)
        pen.polygon([(35, 8), (65, 8), (61, 14), (39, 14)], dark(stone, 0.9))
    elif variant == 1:
        for k, paint in enumerate(((226, 226, 222), (196, 44, 40)) * 4):
            pen.box(40, 10 + 10.5 * k, 60, 20.5 + 10.5 * k, paint, edge=dark(paint, 0.85))
        pen.polygon(arc((50, 11), 10, 8, 180, 360), (196, 44, 40))
        pen.box(35, 92, 65, 97, (70, 70, 74), 1)
    elif variant == 2:
        wood = (188, 148, 96)
        pen.polygon([(36, 10), (50, 4), (64, 10), (64, 97), (36, 97)], wood, width=1)
        pen.polygon([(54, 6), (64, 10), (64, 97), (54, 97)], dark(wood, 0.8), edge=dark(wood, 0.75))
        for x, top, bottom in ((41, 20, 50), (46, 40, 80), (42, 62, 92)):
            pen.line([(x, top), (x + 1, bottom)], dark(wood, 0.75), 1)
    else:
        iron = (48, 62, 56)
        pen.box(42, 90, 58, 97, iron, 1)
        pen.box(46.5, 26, 53.5, 91, iron)
        pen.box(44, 62, 56, 66, iron)
        pen.polygon([(42, 26), (58, 26), (62, 9), (38, 9)], (250, 232, 160), edge=iron, width=1.4)
        pen.polygon([(35, 9), (65, 9), (50, 2)], iron)


def roadsign(pen: Pen, variant: int) -> None:
    """Warning diamond (0), parking plate (1), arrow (2), stop (3)."""
    pen.line([(50, 40), (50, 97)], (140, 144, 148), 4)
    if variant == 0:
        pen.polygon([(50, 3), (78, 31), (50, 59), (22, 31)], (246, 190, 36), edge=(30, 28, 26), width=1.8)
        pen.line([(50, 17), (50, 35)], (30, 28, 26), 5)
        pen.ellipse((50, 44), 3, 3, (30, 28, 26))
    elif variant == 1:
        pen.box(27, 4, 73, 60, (38, 92, 180), 4, edge=(240, 242, 246), width=2)
        pen.line([(42, 50), (42, 15)], (244, 246, 250), 6)
        pen.line([(42, 16), *arc((50, 24.5), 9, 9, -90, 90), (42, 33.5)], (244, 246, 250), 6)
    elif variant == 2:
        pen.polygon([(12, 12), (70, 12), (90, 27), (70, 42), (12, 42)], (244, 244, 240), edge=(30, 32, 34),
                    width=1.8)
        _writing(pen, 22, 17, 66, 38, (40, 42, 46), 2, 4)
    else:
        eight = [(50 + 30 * math.cos(math.radians(22.5 + 45 * k)),
                  33 + 30 * math.sin(math.radians(22.5 + 45 * k)))
                 for k in range(8)]
        pen.polygon(eight, (196, 32, 36), edge=(244, 244, 244), width=2.4)
        pen.box(28, 27, 72, 39, (246, 246, 246), 2)


def stone(pen: Pen, variant: int) -> None:
    """A boulder (0), a ball on a plinth (1), a rough block (2), a heap of cobbles (3)."""
    rng = np.random.default_rng(40 + variant)
    paint: RGB = ((132, 130, 126), (196, 190, 178), (168, 142, 112), (112, 116, 122))[variant]
    if variant == 1:
        pen.box(24, 70, 76, 92, dark(paint, 0.85), 1)
        pen.ellipse((50, 44), 30, 30, paint, width=1)
        pen.ellipse((41, 34), 12, 10, light(paint, 0.35), edge=light(paint, 0.3))
    elif variant == 2:
        pen.polygon([(14, 40), (62, 34), (64, 90), (16, 92)], paint, width=1)
        pen.polygon([(62, 34), (86, 42), (85, 82), (64, 90)], dark(paint, 0.7), width=1)
        pen.polygon([(14, 40), (38, 28), (86, 42), (62, 48)], light(paint, 0.3))
    elif variant == 3:
        for x, y, r in ((24, 76, 16), (50, 78, 17), (76, 77, 15), (37, 56, 15), (62, 57, 16), (50, 38, 14)):
            shade = tuple(int(c * rng.uniform(0.8, 1.2)) for c in paint)
            pen.ellipse((x, y), r, 0.8 * r, shade, width=1)
            pen.ellipse((x - 0.3 * r, y - 0.3 * r), 0.4 * r, 0.25 * r, light(shade), edge=light(shade))
    else:
        rim = [(50 + 44 * math.cos(a) * s, 58 + 32 * math.sin(a) * s)
               for a, s in zip(np.arange(12) * math.pi / 6, rng.uniform(0.85, 1.08, 12), strict=True)]
        pen.polygon(rim, paint, width=1.2)
        pen.polygon([rim[7], rim[8], rim[9], (52, 46), (28, 50)], light(paint, 0.3), edge=light(paint, 0.2))
        pen.polygon([rim[0], rim[1], rim[2], rim[3], (58, 66)], dark(paint, 0.75), edge=dark(paint, 0.72))
    for _ in range(40 if variant != 1 else 25):
        x, y = rng.uniform(25, 75), rng.uniform(40, 85)
        if pen.image.getpixel((int(x * pen.unit), int(y * pen.unit)))[3]:
            pen.ellipse((x, y), 0.9, 0.7, dark(paint, rng.uniform(0.6, 0.85)), edge=dark(paint, 0.7))
