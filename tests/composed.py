"""Settings as the stages read them: the composition of conf/ with overrides."""

from pathlib import Path

from omegaconf import OmegaConf

from reanchor.config import Params, from_mapping
from stages.compose import composition

ROOT = Path(__file__).resolve().parent.parent


def composed(*overrides: str) -> Params:
    """The settings of `python -m stages.compose OVERRIDES`."""
    return from_mapping(OmegaConf.to_container(OmegaConf.create(composition(ROOT, list(overrides)))))
