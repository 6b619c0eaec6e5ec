"""Cameras: where they look from, and what they do to light and colour."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from reanchor.streetfolk.identity import generator


@dataclass(frozen=True)
class Camera:
    """One fixed camera; `index` counts from 0 (file names count from 1)."""

    index: int
    axis: float  # yaw of people walking along its street, degrees
    along: float  # share of people who do
    pitch: float
    perspective: float
    zoom: float  # body heights per picture height
    colour: np.ndarray  # float32 [3, 3], linear map of RGB
    gain: float
    gamma: float
    haze: float  # raised black level
    noise: float  # standard deviation, of 255
    blur: float  # pixels at 96 rows
    vignette: float
    light: float  # direction of light across the picture, -1 to 1


@lru_cache(maxsize=256)
def make_camera(seed: int, index: int) -> Camera:
    """Camera `index`, whatever the namespace: strong casts, so that raw colours do not match across."""
    rng = generator(seed, "camera", index)
    cast = np.exp(rng.normal(0.0, 0.14, size=3))
    mix = np.eye(3) * (1 - (blend := rng.uniform(0.05, 0.3))) + blend * rng.dirichlet([2.0, 2.0, 2.0], size=3)
    return Camera(
        index=index, axis=float(rng.uniform(0, 360)), along=rng.uniform(0.55, 0.85),
        pitch=rng.uniform(0.02, 0.3), perspective=rng.uniform(0.0, 0.28), zoom=rng.uniform(0.80, 0.93),
        colour=(cast / cast.mean() * mix.T).T.astype(np.float32), gain=float(np.exp(rng.normal(0.0, 0.2))),
        gamma=float(np.exp(rng.normal(0.0, 0.22))), haze=rng.uniform(0.0, 0.16), noise=rng.uniform(2, 11),
        blur=float(rng.choice([0.3, 0.5, 0.7, 0.9, 1.2])), vignette=rng.uniform(0.0, 0.3),
        light=rng.uniform(-1, 1))


def person_yaw(rng: np.random.Generator, camera: Camera) -> float:
    """Which way a passer-by has turned: mostly along the camera's street, either way."""
    way = camera.axis if rng.random() < camera.along else camera.axis + 90
    return float(way + 180 * rng.integers(2) + rng.normal(0, 14)) % 360


def develop(pixels: np.ndarray, camera: Camera, rng: np.random.Generator) -> np.ndarray:
    """The picture as the camera stores it.

    Args:
        pixels: float32 [H, W, 3] in 0..1.

    Returns:
        uint8 [H, W, 3].
    """
    height, width = pixels.shape[:2]
    exposure = camera.gain * np.exp(rng.normal(0.0, 0.09))
    drift = np.exp(rng.normal(0, 0.03, size=(3, 1)))
    shown = pixels @ (camera.colour * exposure * drift).astype(np.float32).T
    shown = np.power(np.clip(shown, 1e-4, 1.0), camera.gamma * np.exp(rng.normal(0, 0.05)), dtype=np.float32)
    shown = camera.haze + (1 - camera.haze) * shown * _vignette(height, width, camera.vignette)
    blurred = Image.fromarray((np.clip(shown, 0, 1) * 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(float(camera.blur * rng.uniform(0.7, 1.3) * height / 96)))
    noise = rng.standard_normal((height, width, 3), dtype=np.float32) * (camera.noise * rng.uniform(0.8, 1.2))
    return np.clip(np.asarray(blurred) + noise, 0, 255).astype(np.uint8)


@lru_cache(maxsize=256)
def _vignette(height: int, width: int, strength: float) -> np.ndarray:
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    return (1 - strength * (0.5 * y * y + 0.5 * x * x))[:, :, None].astype(np.float32)
