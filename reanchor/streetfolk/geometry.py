"""A turnable doll: bodies of elliptic cross-section, seen by a slightly raised camera.

Body coordinates: x to the wearer's left, y up (0 soles, 1 crown), z forward; unit: the body's height.
Angles around a body run from the front (0) over the wearer's left (90 degrees).
"""

import math
from dataclasses import dataclass, field

Point = tuple[float, float]
Point3 = tuple[float, float, float]


@dataclass(frozen=True)
class View:
    """From body coordinates to canvas pixels.

    Attributes:
        yaw: degrees the person has turned from facing the camera towards the picture's right.
        pitch: sine of the camera's downward angle.
        perspective: relative size of the crown against the soles, minus 1.
        scale: pixels per body height.
        x, ground: canvas position of the point between the soles.
    """

    yaw: float
    pitch: float
    perspective: float
    scale: float
    x: float
    ground: float
    cos: float = field(init=False, repr=False, compare=False)  # of yaw
    sin: float = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cos", math.cos(math.radians(self.yaw)))
        object.__setattr__(self, "sin", math.sin(math.radians(self.yaw)))

    def depth(self, x: float, z: float) -> float:
        """How far towards the camera a point stands."""
        return z * self.cos - x * self.sin

    def across(self, x: float, z: float) -> float:
        return x * self.cos + z * self.sin

    def place(self, across: float, y: float, depth: float) -> Point:
        size = self.scale * (1.0 + self.perspective * (y - 0.5))
        return self.x + across * size, self.ground - (y - self.pitch * depth) * self.scale

    def project(self, x: float, y: float, z: float) -> Point:
        return self.place(self.across(x, z), y, self.depth(x, z))

    def size_at(self, y: float) -> float:
        return self.scale * (1.0 + self.perspective * (y - 0.5))


Ring = tuple[float, float, float, float, float]  # centre x, y, z; half-width, half-depth


@dataclass(frozen=True)
class Lathe:
    """A stack of horizontal ellipses, from top to bottom."""

    view: View
    rings: tuple[Ring, ...]

    def outline(self) -> list[Point]:
        left, right = [], []
        for x, y, z, a, b in self.rings:
            centre, depth = self.view.across(x, z), self.view.depth(x, z)
            reach = math.hypot(a * self.view.cos, b * self.view.sin)
            left.append(self.view.place(centre - reach, y, depth))
            right.append(self.view.place(centre + reach, y, depth))
        return left + right[::-1]

    def surface(self, angle: float, level: float, lift: float = 1.0) -> Point:
        """The point at `angle` (radians) and `level` (rings from the top, fractions interpolate)."""
        x, y, z, a, b = self._ring(level)
        return self.view.project(x + lift * a * math.sin(angle), y, z + lift * b * math.cos(angle))

    def faces(self, angle: float) -> float:
        """Cosine between the surface at `angle` (radians) and the camera."""
        return math.cos(angle + self._turn())

    def patch(self, start: float, end: float, top: float = 0.0,
              bottom: float | None = None) -> list[list[Point]]:
        """The visible pieces of the strip from `start` to `end` degrees, `top` to `bottom` in levels."""
        bottom = len(self.rings) - 1.0 if bottom is None else bottom
        levels = [top, *(float(k) for k in range(math.floor(top) + 1, math.ceil(bottom))), bottom]
        pieces = []
        for low, high in self._visible(math.radians(start), math.radians(end)):
            steps = max(1, round((high - low) / 0.5))
            angles = [low + (high - low) * k / steps for k in range(steps + 1)]
            piece = [self.surface(angle, top) for angle in angles]
            piece += [self.surface(high, level) for level in levels[1:]]
            piece += [self.surface(angle, bottom) for angle in reversed(angles[:-1])]
            piece += [self.surface(low, level) for level in reversed(levels[1:-1])]
            pieces.append(piece)
        return pieces

    def level(self, y: float) -> float:
        """The level at height `y`, within the stack."""
        for k in range(len(self.rings) - 1):
            upper, lower = self.rings[k][1], self.rings[k + 1][1]
            if y >= lower:
                return k + min(1.0, max(0.0, (upper - y) / (upper - lower)))
        return len(self.rings) - 1.0

    def between(self, top: float, bottom: float, grow: float = 1.0) -> "Lathe":
        """The stack between two heights, its ellipses `grow` times as wide."""
        first, last = self.level(top), self.level(bottom)
        inner = [float(k) for k in range(math.floor(first) + 1, math.ceil(last))]
        rings = [self._ring(level) for level in (first, *inner, last)]
        return Lathe(self.view, tuple((x, y, z, a * grow, b * grow) for x, y, z, a, b in rings))

    def _ring(self, level: float) -> Ring:
        k = min(int(level), len(self.rings) - 2)
        share = level - k
        return tuple(p + (q - p) * share for p, q in zip(self.rings[k], self.rings[k + 1], strict=True))

    def _turn(self) -> float:
        _, _, _, a, b = self.rings[len(self.rings) // 2]
        return math.atan2(self.view.sin / a, self.view.cos / b)

    def _visible(self, start: float, end: float) -> list[tuple[float, float]]:
        middle, whole, half = -self._turn(), 2 * math.pi, math.pi / 2
        pieces = []
        for turns in (-1, 0, 1, 2):
            low, high = max(start + turns * whole, middle - half), min(end + turns * whole, middle + half)
            if high - low > 0.02:
                pieces.append((low, high))
        return pieces


@dataclass(frozen=True)
class Tube:
    """A limb: joints in body coordinates with a radius at each."""

    view: View
    joints: tuple[Point3, ...]
    radii: tuple[float, ...]

    def outline(self) -> list[Point]:
        left, right = [], []
        for (x, y), (nx, ny), radius in self._spine():
            left.append((x + nx * radius, y + ny * radius))
            right.append((x - nx * radius, y - ny * radius))
        return left + right[::-1]

    def strip(self, start: float, end: float) -> list[Point]:
        """The visible part of the strip between two angles (degrees, less than a half turn) along the
        whole limb; empty when it faces away."""
        turned = (start + self.view.yaw + 180) % 360 - 180
        for low in (turned, turned - 360):
            high = min(low + end - start, 90)
            if high - max(low, -90) > 1:
                return (self._line(math.sin(math.radians(max(low, -90))))
                        + self._line(math.sin(math.radians(high)))[::-1])
        return []

    def between(self, start: float, end: float, grow: float = 1.0, flare: float = 1.0) -> "Tube":
        """The limb from `start` to `end` (in joints, fractions interpolate), thicker by `grow`;
        `flare` multiplies the radius at the end."""
        inner = [float(k) for k in range(math.floor(start) + 1, math.ceil(end))]
        marks = [start, *inner, end]
        joints, radii = zip(*(self._at(mark) for mark in marks), strict=True)
        span = max(end - start, 1e-6)
        grown = tuple(r * grow * (1 + (flare - 1) * (m - start) / span)
                      for r, m in zip(radii, marks, strict=True))
        return Tube(self.view, joints, grown)

    def end(self) -> Point:
        return self.view.project(*self.joints[-1])

    def _at(self, mark: float) -> tuple[Point3, float]:
        k = min(int(mark), len(self.joints) - 2)
        share = mark - k
        joint = tuple(p + (q - p) * share for p, q in zip(self.joints[k], self.joints[k + 1], strict=True))
        return joint, self.radii[k] + (self.radii[k + 1] - self.radii[k]) * share

    def _spine(self) -> list[tuple[Point, Point, float]]:
        points = [self.view.project(*joint) for joint in self.joints]
        spine = []
        for k, (point, joint, radius) in enumerate(zip(points, self.joints, self.radii, strict=True)):
            before, after = points[max(k - 1, 0)], points[min(k + 1, len(points) - 1)]
            dx, dy = after[0] - before[0], after[1] - before[1]
            length = math.hypot(dx, dy) or 1.0
            spine.append((point, (dy / length, -dx / length), radius * self.view.size_at(joint[1])))
        return spine

    def _line(self, offset: float) -> list[Point]:
        return [(x + nx * radius * offset, y + ny * radius * offset)
                for (x, y), (nx, ny), radius in self._spine()]


def hull(points: list[Point]) -> list[Point]:
    """Convex hull (monotone chain)."""
    ordered = sorted(points)

    def chain(sequence):
        kept: list[Point] = []
        for p in sequence:
            while len(kept) > 1 and (
                    (kept[-1][0] - kept[-2][0]) * (p[1] - kept[-2][1])
                    - (kept[-1][1] - kept[-2][1]) * (p[0] - kept[-2][0])) <= 0:
                kept.pop()
            kept.append(p)
        return kept[:-1]

    return chain(ordered) + chain(reversed(ordered))
