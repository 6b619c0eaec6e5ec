"""What people carry or fly: bag, kite, suitcase, umbrella."""

from reanchor.occlusion.drawings.pen import RGB, Pen, arc, dark, light


def bag(pen: Pen, variant: int) -> None:
    """Backpack (0), tote (1), handbag (2), hiking pack (3)."""
    paint: RGB = ((40, 52, 78), (214, 188, 140), (164, 44, 52), (86, 100, 62))[variant]
    if variant in (0, 3):
        pen.line(arc((50, 12), 9, 8, 180, 360), dark(paint), 3)
        for side in (-1, 1):
            pen.line([(50 + 26 * side, 30), (50 + 33 * side, 55), (50 + 28 * side, 85)], dark(paint, 0.7), 4)
        pen.box(22, 12, 78, 94, paint, 17, width=1.2)
        pen.box(29, 54, 71, 88, light(paint, 0.15), 6)
        pen.line([(33, 60), (67, 60)], dark(paint, 0.5), 1.6)
        pen.line([(28, 36), *arc((50, 36), 22, 14, 180, 360), (72, 36)], dark(paint, 0.5), 1.6)
        if variant == 3:
            pen.box(16, 4, 84, 16, (176, 106, 60), 6)
            for x in (34, 66):
                pen.line([(x, 14), (x, 54)], dark(paint, 0.5), 2.6)
        else:
            pen.box(43, 66, 57, 74, (200, 72, 60), 1)
        return
    handles = {1: (16, 30), 2: (19, 24)}[variant]
    pen.line(arc((50, 42), handles[0], handles[1], 180, 360), dark(paint, 0.75), 3.4)
    if variant == 1:
        pen.polygon([(20, 40), (80, 40), (85, 94), (15, 94)], paint, width=1.2)
        pen.box(36, 56, 64, 78, (60, 120, 110), 3)
        pen.line([(20, 46), (80, 46)], dark(paint, 0.8), 1.2)
    else:
        pen.polygon([(18, 42), (82, 42), (92, 86), (86, 92), (14, 92), (8, 86)], paint, width=1.2)
        pen.polygon([(18, 42), (82, 42), (78, 64), (22, 64)], dark(paint, 0.85))
        pen.box(44, 58, 56, 68, (226, 190, 90), 2)


def kite(pen: Pen, variant: int) -> None:
    """Diamond (0), sled with bands (1), delta (2), box of two colours (3)."""
    if variant == 0:
        top, left, right, low = (50, 3), (20, 30), (80, 30), (50, 70)
        for pair, paint in (((top, left), (226, 56, 48)), ((top, right), (246, 206, 50)),
                            ((left, low), (58, 120, 206)), ((right, low), (70, 166, 90))):
            pen.polygon([*pair, (50, 30)], paint)
        _tail(pen, [(50, 70), (56, 78), (46, 86), (54, 97)], (226, 56, 48))
    elif variant == 1:
        for k, paint in enumerate(((118, 60, 160), (240, 240, 236), (232, 130, 50), (240, 240, 236),
                                   (118, 60, 160))):
            pen.polygon([(14 + 14.4 * k, 10), (28.4 + 14.4 * k, 10), (30 + 9.6 * k + 5.6, 66),
                         (26 + 9.6 * k, 66)], paint)
        _tail(pen, [(40, 66), (36, 78), (42, 96)], (232, 130, 50))
        _tail(pen, [(60, 66), (64, 80), (58, 96)], (118, 60, 160))
    elif variant == 2:
        for points, paint in (([(50, 6), (4, 52), (30, 56)], (236, 70, 130)),
                              ([(50, 6), (30, 56), (50, 66)], (246, 216, 60)),
                              ([(50, 6), (70, 56), (50, 66)], (70, 190, 200)),
                              ([(50, 6), (96, 52), (70, 56)], (108, 80, 200))):
            pen.polygon(points, paint)
        for x, paint in ((14, (246, 216, 60)), (86, (70, 190, 200))):
            _tail(pen, [(x, 53), (x + 4, 68), (x - 3, 84)], paint)
    else:
        frame = (150, 110, 70)
        for top in (8, 62):
            pen.polygon([(22, top + 6), (52, top), (52, top + 24), (22, top + 30)], (206, 46, 50))
            pen.polygon([(52, top), (80, top + 8), (80, top + 32), (52, top + 24)], (246, 196, 60))
        for x, top, bottom in ((22, 12, 94), (52, 6, 90), (80, 14, 96)):
            pen.line([(x, top), (x, bottom)], frame, 1.8)


def _tail(pen: Pen, points: list, paint: RGB) -> None:
    pen.line(points, (70, 70, 74), 1.4)
    for x, y in points[1:]:
        pen.polygon([(x - 5, y - 3), (x + 5, y + 3), (x + 5, y - 3), (x - 5, y + 3)], paint)


def suitcase(pen: Pen, variant: int) -> None:
    """Ribbed trolley (0), leather case (1), soft upright (2), small trunk (3)."""
    paint: RGB = ((186, 190, 196), (150, 88, 44), (52, 44, 62), (44, 96, 92))[variant]
    if variant in (0, 2):
        for x in (38, 62):
            pen.line([(x, 24), (x, 5)], (120, 122, 126), 2.2)
        pen.line([(36, 5), (64, 5)], (44, 44, 48), 4)
        for x in (30, 70):
            pen.ellipse((x, 94), 4, 4, (28, 28, 30))
        pen.box(22, 22, 78, 92, paint, 6, width=1.2)
        if variant == 0:
            for x in (32, 41, 50, 59, 68):
                pen.line([(x, 27), (x, 87)], dark(paint, 0.78), 1.8)
        else:
            pen.box(28, 30, 72, 56, light(paint, 0.15), 3)
            pen.box(28, 60, 72, 87, light(paint, 0.15), 3)
            pen.line([(31, 36), (69, 36)], (200, 170, 90), 1.4)
        return
    pen.line(arc((50, 33), 13, 13, 180, 360), dark(paint, 0.6), 4)
    pen.box(6, 32, 94, 88, paint, 5 if variant == 1 else 2, width=1.4)
    pen.line([(6, 54), (94, 54)], dark(paint, 0.6), 1.6)
    for x in (24, 76):
        pen.box(x - 4, 32, x + 4, 88, dark(paint, 0.8), edge=dark(paint, 0.6))
        pen.box(x - 3, 50, x + 3, 58, (222, 190, 100), 1)
    if variant == 3:
        for x, y in ((9, 36), (91, 36), (9, 84), (91, 84)):
            pen.ellipse((x, y), 4, 4, (222, 190, 100))


def umbrella(pen: Pen, variant: int) -> None:
    """Open: rainbow (0), plain blue (1), striped beach umbrella (2); folded (3)."""
    wood = (110, 74, 46)
    if variant == 3:
        paint = (152, 36, 56)
        pen.polygon([(50, 6), (58, 26), (60, 62), (50, 78), (40, 62), (42, 26)], paint, width=1.2)
        pen.line([(46, 24), (47, 66)], dark(paint, 0.7), 1.2)
        pen.line([(54, 24), (53, 66)], light(paint, 0.3), 1.2)
        pen.box(40, 54, 60, 58, dark(paint, 0.6), 1)
        pen.line([(50, 76), (50, 88), *arc((45, 88), 5, 6, 0, 180)], wood, 3.4)
        return
    pen.line([(50, 8), (50, 88 if variant != 2 else 97)], (90, 92, 96) if variant == 1 else wood, 2.6)
    if variant != 2:
        pen.line(arc((45, 88), 5, 6, 0, 180), wood, 3.4)
    colours = (((206, 48, 46), (240, 150, 44), (246, 216, 60), (70, 160, 80), (60, 110, 200), (116, 64, 160)),
               ((44, 76, 156), (60, 94, 176), (70, 106, 190), (60, 94, 176), (44, 76, 156)),
               ((226, 66, 60), (244, 240, 230), (226, 66, 60), (244, 240, 230), (226, 66, 60)))[variant]
    count, tall = len(colours), 38 if variant != 2 else 30
    rim = [4 + 92 * k / count for k in range(count + 1)]
    for k, paint in enumerate(colours):
        left, right = rim[k], rim[k + 1]
        scallop = arc(((left + right) / 2, 48), (right - left) / 2, -5, 0, 180, 8)
        pen.polygon([*_rib(right, tall), *scallop, *reversed(_rib(left, tall))], paint,
                    edge=dark(paint, 0.75))
    pen.line([(50, 48 - tall - 4), (50, 48 - tall + 2)], (60, 60, 64), 2)


def _rib(x: float, tall: float) -> list[tuple[float, float]]:
    """From the crown down to the rim at `x`, along a half ellipse."""
    return arc((50, 48), x - 50, tall, -90, 0, 10)
