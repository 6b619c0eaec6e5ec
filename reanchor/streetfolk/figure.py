"""One dressed person, drawn from back to front."""

from dataclasses import dataclass
from functools import cached_property

from reanchor.streetfolk import carried, dress, head
from reanchor.streetfolk.canvas import Canvas
from reanchor.streetfolk.geometry import Lathe, Tube, View
from reanchor.streetfolk.identity import Identity
from reanchor.streetfolk.pose import Pose


@dataclass
class Figure:
    """A person about to be drawn: who, how they stand, and from where they are seen."""

    canvas: Canvas
    view: View
    identity: Identity
    pose: Pose

    @cached_property
    def trunk(self) -> Lathe:
        """From the collar down to below the hips, in the thickness of a shirt."""
        d = self.identity.details
        g, s, h = d.girth, d.shoulders, d.hips
        return Lathe(self.view, (
            (0, 0.838, -0.006, 0.042 * g, 0.038 * g), (0, 0.822, -0.004, 0.086 * s, 0.05 * g),
            (0, 0.79, 0, 0.134 * s, 0.068 * g), (0, 0.72, 0.004, 0.13 * g, 0.083 * g),
            (0, 0.60, 0.002, 0.108 * g, 0.074 * g), (0, 0.51, -0.002, 0.116 * g * h, 0.082 * g),
            (0, 0.44, 0, 0.116 * g * h, 0.082 * g)))

    @cached_property
    def legs(self) -> tuple[Tube, Tube]:
        g = self.identity.details.girth
        return tuple(Tube(self.view, joints, (0.060 * g, 0.044 * g, 0.030 * g)) for joints in self.pose.legs)

    @cached_property
    def arms(self) -> tuple[Tube, Tube]:
        g = self.identity.details.girth
        return tuple(Tube(self.view, joints, (0.039 * g, 0.034 * g, 0.025 * g)) for joints in self.pose.arms)

    def depth_of(self, side: int) -> float:
        """How near the wearer's left (0) or right (1) flank is to the camera."""
        return self.view.depth((0.13, -0.13)[side], 0.0)

    def paint(self, key: str):
        return self.identity.paint[key]


def draw(figure: Figure) -> None:
    """Draw everything, farthest first."""
    layers = [(0.0, dress.trunk), (0.4, head.head), (-0.3, head.neck)]
    layers.append((-0.45 if figure.view.cos > 0 else 0.45, head.back_hair))
    for side in (0, 1):
        near = figure.depth_of(side)
        layers.append((-1.0 + near, lambda f, side=side: dress.leg(f, side)))
        layers.append((1.0 + near if near > -0.06 else -2.0 + near, lambda f, side=side: dress.arm(f, side)))
    layers.append((-0.6, dress.hips))
    layers += carried.layers(figure)
    for _, layer in sorted(layers, key=lambda pair: pair[0]):
        layer(figure)
