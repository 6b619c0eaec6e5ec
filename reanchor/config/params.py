"""All of `params.yaml`, typed.

A section bears the name of the stage that owns it. `field(...)` states the allowed
values; `reanchor.config.load` checks them before any data is read.
"""

from dataclasses import dataclass

from reanchor.config.sections.data import Occlude, Prepare, Render
from reanchor.config.sections.field import field
from reanchor.config.sections.judging import Evaluate, Report, Search
from reanchor.config.sections.mgcc import Mgcc
from reanchor.config.sections.models import Backbone, Imported
from reanchor.config.sections.text import Tbps
from reanchor.config.sections.training import Finetune, Gate, Prompts, Saga


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
