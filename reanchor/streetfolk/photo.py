"""One photograph of one person: pose, drawing, light, camera, box, mask."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from reanchor.streetfolk.camera import Camera, develop, person_yaw
from reanchor.streetfolk.canvas import FEATURES, Canvas, reduce_labels
from reanchor.streetfolk.figure import Figure, draw
from reanchor.streetfolk.geometry import View
from reanchor.streetfolk.identity import Identity
from reanchor.streetfolk.pose import make_pose
from reanchor.streetfolk.scene import backdrop


@dataclass(frozen=True)
class Frame:
    """Size of the pictures, and how finely they are drawn before they are reduced."""

    height: int
    width: int
    supersample: int


@dataclass(frozen=True)
class Photo:
    """A picture and what is known about it.

    Attributes:
        image: uint8 [H, W, 3].
        mask: uint8 [H, W], indices of `PARTS`.
        seen: share of the picture each feature covers, by name; nothing else may be captioned.
        yaw: degrees the person has turned from the camera.
    """

    image: np.ndarray
    mask: np.ndarray
    seen: dict[str, float]
    yaw: float
    walking: bool


def take(rng: np.random.Generator, seed: int, identity: Identity, camera: Camera, frame: Frame,
         badly: bool = False) -> Photo:
    """Photograph a person; `badly`: as a detector's bad box would, most of the person outside."""
    yaw = person_yaw(rng, camera)
    pose = make_pose(rng, identity.details)
    view = _box(rng, camera, identity, frame, yaw, badly)
    background = backdrop(rng, seed, camera.index, frame.height, frame.width)
    background = _ground_shadow(background, view, frame)
    size = (frame.width * frame.supersample, frame.height * frame.supersample)
    canvas = Canvas(Image.fromarray(background).resize(size, Image.Resampling.NEAREST))
    draw(Figure(canvas, view, identity, pose))
    mask, coverage, area = reduce_labels(np.asarray(canvas.labels), frame.supersample)
    picture = np.asarray(canvas.image.reduce(frame.supersample), dtype=np.float32) / 255
    picture = picture * _light(rng, coverage, camera)[:, :, None]
    seen = {name: area[k] / canvas.labels.size[0] / canvas.labels.size[1] for k, name in enumerate(FEATURES)}
    return Photo(develop(picture, camera, rng), mask, seen, yaw, pose.walking)


def take_empty(rng: np.random.Generator, seed: int, camera: Camera, frame: Frame) -> Photo:
    """A detector's false alarm: the street and nobody in it."""
    background = backdrop(rng, seed, camera.index, frame.height, frame.width).astype(np.float32) / 255
    nobody = np.zeros((frame.height, frame.width), dtype=np.uint8)
    return Photo(develop(background, camera, rng), nobody, dict.fromkeys(FEATURES, 0.0), 0.0, False)


def _box(rng: np.random.Generator, camera: Camera, identity: Identity, frame: Frame, yaw: float,
         badly: bool) -> View:
    rows, columns = frame.height * frame.supersample, frame.width * frame.supersample
    zoom = camera.zoom * rng.uniform(0.95, 1.06)
    shift_x, shift_y = rng.normal(0, 0.045), rng.normal(0, 0.018)
    if rng.random() < 0.1:  # a box that cuts feet or head
        zoom, shift_y = zoom * 1.08, shift_y + rng.choice([-1, 1]) * rng.uniform(0.03, 0.08)
    if badly:
        zoom *= rng.uniform(0.8, 1.5)
        shift_x, shift_y = rng.choice([-1, 1]) * rng.uniform(0.4, 0.7), rng.uniform(-0.5, 0.5)
    scale = rows * zoom * (1 + 0.5 * (identity.details.height - 1))
    middle = 0.5 + 0.5 * zoom + 0.012
    return View(yaw, camera.pitch, camera.perspective, scale, columns * (0.5 + shift_x),
                rows * (middle + shift_y))


def _ground_shadow(background: np.ndarray, view: View, frame: Frame) -> np.ndarray:
    """Darken the ground below the feet."""
    factor = frame.supersample
    y, x = np.ogrid[:frame.height, :frame.width]
    y = (y.astype(np.float32) - view.ground / factor) / (0.035 * view.scale / factor)
    x = (x.astype(np.float32) - view.x / factor) / (0.15 * view.scale / factor)
    darkness = 1 - 0.45 * np.exp(-(x * x + y * y))
    return (background * darkness[:, :, None]).astype(np.uint8)


def _light(rng: np.random.Generator, coverage: np.ndarray, camera: Camera) -> np.ndarray:
    """Roundness from one side's light, and folds: float32 [H, W], 1 off the person."""
    height, width = coverage.shape
    soft = Image.fromarray((coverage * 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(0.03 * height))
    relief = np.gradient(np.asarray(soft, dtype=np.float32) / 255, axis=1) * (height / 96)
    coarse = rng.normal(0, 1, size=(12, 6)).astype(np.float32)
    folds = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    lit = 1 + (2.2 * camera.light) * relief + 0.055 * folds
    return 1 + coverage * (np.clip(lit, 0.55, 1.4) - 1)
