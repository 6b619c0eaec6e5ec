"""Every setting, typed: one dataclass per section of `params.yaml`.

A section bears the name of the stage that owns it. `field(...)` states the allowed
values; `reanchor.config.load` checks them before any data is read.
"""

from dataclasses import dataclass

from reanchor.config.sections.data import Occlude, Prepare, Render
from reanchor.config.sections.field import field
from reanchor.config.sections.judging import FEATURES, Evaluate, Nfc, Report, Rerank, Search
from reanchor.config.sections.mgcc import Mgcc, MgccModel
from reanchor.config.sections.models import NOTHING_IMPORTED, Backbone, Imported, Pretrain
from reanchor.config.sections.text import NO_BACK_TRANSLATIONS, TEXT_TERMS, Tbps, TextRecipe
from reanchor.config.sections.training import GATING_DOMAINS, Finetune, Gate, LossWeights, Prompts, Saga

__all__ = [
    "FEATURES", "GATING_DOMAINS", "NOTHING_IMPORTED", "NO_BACK_TRANSLATIONS", "TEXT_TERMS", "Backbone", "Evaluate",
    "Finetune", "Gate", "Imported", "LossWeights", "Mgcc", "MgccModel", "Nfc", "Occlude", "Params", "Prepare",
    "Pretrain", "Prompts", "Render", "Report", "Rerank", "Runtime", "Saga", "Search", "Tbps", "TextRecipe",
]


@dataclass
class Runtime:
    """How to run, never what comes out: no stage depends on this section."""

    device: str = "auto"  # auto, cpu, cuda, cuda:N
    threads: int = field(2, low=1)
    processes: int = field(2, low=1)
    checkpoint_steps: int = field(100, low=1)


@dataclass
class Params:
    render: Render = field(Render())
    prepare: Prepare = field(Prepare())
    occlude: Occlude = field(Occlude())
    backbone: Backbone = field(Backbone())
    prompts: Prompts = field(Prompts())
    finetune: Finetune = field(Finetune())
    saga: Saga = field(Saga())
    imported: Imported = field(Imported())
    gate: Gate = field(Gate())
    tbps: Tbps = field(Tbps())
    mgcc: Mgcc = field(Mgcc())
    evaluate: Evaluate = field(Evaluate())
    search: Search = field(Search())
    report: Report = field(Report())
    runtime: Runtime = field(Runtime())
