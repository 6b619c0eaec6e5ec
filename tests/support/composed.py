"""Settings as the stages read them: the composition of conf/ with overrides."""


from omegaconf import OmegaConf
from places import ROOT

from reanchor.config.load import from_mapping
from reanchor.config.params import Params
from stages.compose import composition


def composed(*overrides: str) -> Params:
    """The settings of `python -m stages.compose OVERRIDES`."""
    return from_mapping(OmegaConf.to_container(OmegaConf.create(composition(ROOT, list(overrides)))))
