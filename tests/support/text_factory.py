"""A small street with captions, and a random CLIP that reads them."""

import dataclasses
import functools
from pathlib import Path

from composed import ROOT
from omegaconf import OmegaConf

from reanchor.backbone.pretrain import blank_clip
from reanchor.clip.model import Clip
from reanchor.config.load import from_mapping
from reanchor.config.params import Params
from reanchor.data.prepare import prepare
from reanchor.formats.manifest import Manifest
from reanchor.occlusion.suites import make_occluded
from reanchor.streetfolk.captions import vocabulary
from reanchor.streetfolk.dataset import render_dataset
from stages.compose import composition

SIZE = (64, 32)
SMALL = ["profile=smoke", "prepare.height=64", "prepare.width=32"]


def settings(*overrides: str) -> Params:
    """The smoke study at 64 x 32 with further overrides, free to change."""
    return from_mapping(_composed(overrides))


@functools.cache
def _composed(overrides: tuple[str, ...]) -> dict:
    return OmegaConf.to_container(OmegaConf.create(composition(ROOT, [*SMALL, *overrides])))


def make_street(root: Path) -> Path:
    """A prepared and occluded street of 24 + 12 people in `root`."""
    params = settings()
    render_dataset(params.render, root / params.prepare.root, processes=1)
    prepare(params.prepare, root / "data/prepared", processes=1, workspace=root)
    make_occluded(params.occlude, root / "data/prepared", root / "data/occluded", processes=1)
    return root


def small_clip() -> Clip:
    """A seeded random CLIP (width 32, patch 8 x 4 tokens) with Streetfolk's words."""
    params = settings()
    params.backbone.pretrain.patch = 8
    return blank_clip(params.backbone.pretrain, SIZE, vocabulary())


def described(manifest: Manifest, splits: list[str]) -> Manifest:
    """The same images, with captions in these splits alone."""
    return dataclasses.replace(manifest, captions=[texts if split in splits else [] for texts, split in
                                                   zip(manifest.captions, manifest.split, strict=True)])
