"""Many people in memory, for training without files."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from reanchor.streetfolk.camera import make_camera
from reanchor.streetfolk.captions import describe
from reanchor.streetfolk.identity import generator, make_identity
from reanchor.streetfolk.photo import Frame, Photo, take
from reanchor.workers import Processes, ending

CHUNK = 16  # identities a process renders at a time


@dataclass(frozen=True)
class Shot:
    """One image still to be taken: who, by which camera, and its index among theirs."""

    index: int
    image: int
    camera: int


@dataclass(frozen=True)
class People:
    """Rendered images, in the order of identities, then of each identity's images.

    Attributes:
        images: uint8 [N, H, W, 3]; masks: uint8 [N, H, W], indices of `PARTS`.
        pids: int64 [N], identity indices; camids: int64 [N], from 0.
        captions: two per image.
    """

    images: np.ndarray
    masks: np.ndarray
    pids: np.ndarray
    camids: np.ndarray
    captions: list[list[str]]


def shots(seed: int, namespace: str, index: int, images: int, cameras: int,
          per_camera: int = 1) -> list[Shot]:
    """An identity's images: at least two cameras (where there are two), each about equally often
    and at least `per_camera` times."""
    rng = generator(seed, namespace, 5, index)
    most = min(cameras, images // per_camera)
    count = int(rng.integers(max(min(2, most), (most + 1) // 2), most + 1))
    chosen = rng.permutation(cameras)[:count]
    return [Shot(index, image, int(chosen[image % count])) for image in range(images)]


def photograph(seed: int, namespace: str, shot: Shot, frame: Frame,
               badly: bool = False) -> tuple[Photo, list[str]]:
    """One image and its two captions, from a generator of its own."""
    rng = generator(seed, namespace, 6, shot.index, shot.image)
    identity = make_identity(seed, namespace, shot.index)
    photo = take(rng, seed, identity, make_camera(seed, shot.camera), frame, badly)
    return photo, [describe(rng, identity, photo) for _ in range(2)]


def render_people(seed: int, namespace: str, identities: range, images: int, cameras: int = 6,
                  height: int = 96,
                  width: int = 48, supersample: int = 2, processes: int = 1) -> People:
    """Render `images` pictures of each identity of a namespace.

    The people of two namespaces have nothing in common; cameras depend on `seed` alone.
    The result does not depend on `processes`.
    """
    frame = Frame(height, width, supersample)
    jobs = [(seed, namespace, part, images, cameras, frame) for part in _chunks(identities)]
    total = len(identities) * images
    people = People(np.empty((total, height, width, 3), np.uint8), np.empty((total, height, width), np.uint8),
                    np.empty(total, np.int64), np.empty(total, np.int64), [])
    done = 0
    with tqdm(total=total, desc=f"render {namespace}", unit="image", disable=None) as bar:
        for part in run_ordered(_render_chunk, jobs, processes):
            rows = slice(done, done + len(part.pids))
            for name in ("images", "masks", "pids", "camids"):
                getattr(people, name)[rows] = getattr(part, name)
            people.captions.extend(part.captions)
            done = rows.stop
            bar.update(len(part.pids))
    return people


def run_ordered(work: Callable, jobs: Iterable, processes: int) -> Iterator:
    """Results of `work` over `jobs`, in their order, a few at a time."""
    if processes == 1:
        yield from map(work, jobs)
        return
    with ending(Processes(processes)) as pool:
        waiting: deque = deque()
        for job in jobs:
            waiting.append(pool.submit(work, job))
            if len(waiting) > 3 * processes:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()


def _chunks(identities: range) -> list[range]:
    return [identities[k:k + CHUNK] for k in range(0, len(identities), CHUNK)]


def _render_chunk(job: tuple) -> People:
    seed, namespace, identities, images, cameras, frame = job
    plan = [shot for index in identities for shot in shots(seed, namespace, index, images, cameras)]
    photos, captions = zip(*(photograph(seed, namespace, shot, frame) for shot in plan), strict=True)
    return People(np.stack([p.image for p in photos]), np.stack([p.mask for p in photos]),
                  np.array([s.index for s in plan]), np.array([s.camera for s in plan]), list(captions))
