"""Where the joints are: standing or walking, at any phase of a step."""

import math
from dataclasses import dataclass

import numpy as np

from reanchor.streetfolk.geometry import Point3
from reanchor.streetfolk.identity import Details


@dataclass(frozen=True)
class Pose:
    """Joints from the trunk outwards; index 0 is the wearer's left (x > 0), 1 the right."""

    arms: tuple[tuple[Point3, ...], tuple[Point3, ...]]  # shoulder, elbow, wrist
    legs: tuple[tuple[Point3, ...], tuple[Point3, ...]]  # hip, knee, ankle
    walking: bool


def make_pose(rng: np.random.Generator, details: Details) -> Pose:
    """A random moment: a walker's step three times in four, else standing."""
    walking = bool(rng.random() < 0.75)
    phase = rng.uniform(0, 2 * math.pi)
    stride = rng.uniform(18, 32) if walking else rng.uniform(0, 4)
    bent = rng.uniform(5, 75) if rng.random() < 0.2 else 8.0  # a raised forearm now and then
    arms, legs = [], []
    for side in (1, -1):
        swing = stride * math.sin(phase) * side
        lift = max(0.0, math.cos(phase) * side) * (38 if walking else 3)
        legs.append(_leg(side * 0.052 * details.hips, swing, lift))
        arms.append(_arm(side * 0.124 * details.shoulders, side, -0.8 * swing, bent if side == 1 else 8.0))
    return Pose(tuple(arms), tuple(legs), walking)


def _leg(x: float, swing: float, lift: float) -> tuple[Point3, ...]:
    thigh, shin = 0.235, 0.215
    upper, lower = math.radians(swing + 0.3 * lift), math.radians(swing - lift)
    knee = (x * 1.02, 0.485 - thigh * math.cos(upper), thigh * math.sin(upper))
    ankle = (x, knee[1] - shin * math.cos(lower), knee[2] + shin * math.sin(lower))
    return (x, 0.485, 0.0), knee, ankle


def _arm(x: float, side: int, swing: float, bent: float) -> tuple[Point3, ...]:
    upper, lower = math.radians(swing), math.radians(swing + bent)
    elbow = (x + side * 0.022, 0.768 - 0.16 * math.cos(upper), 0.16 * math.sin(upper))
    wrist = (x + side * 0.024, elbow[1] - 0.145 * math.cos(lower), elbow[2] + 0.145 * math.sin(lower))
    return (x, 0.768, 0.0), elbow, wrist
