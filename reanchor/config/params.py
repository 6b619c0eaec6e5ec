"""All of `params.yaml`, typed.

The house's own sections stand here; the methods bring theirs. `reanchor.config.load` checks values before any data is
read.
"""

from typing import TYPE_CHECKING, Any

from reanchor.config.methods import sections
from reanchor.config.sections.backbone import Backbone
from reanchor.config.sections.data import Occlude, Prepare, Render
from reanchor.config.sections.judging import Evaluate, Report, Search
from reanchor.config.setting import extended, nested, section, setting


@section
class Runtime:
    """How to run, never what comes out: no stage depends on this section, so changing it re-runs nothing."""

    device: str = setting("auto", "auto, cpu, cuda or cuda:N")
    threads: int = setting(2, "of PyTorch on the CPU", low=1)
    processes: int = setting(2, "of rendering and image decoding", low=1)
    checkpoint_steps: int = setting(100, "training steps between two checkpoints", low=1)


@section
@extended({name: nested(kind) for name, kind in sections().items()})
class Params:
    """Every section by name."""

    render: Render = nested(Render)
    prepare: Prepare = nested(Prepare)
    occlude: Occlude = nested(Occlude)
    backbone: Backbone = nested(Backbone)
    evaluate: Evaluate = nested(Evaluate)
    search: Search = nested(Search)
    report: Report = nested(Report)
    runtime: Runtime = nested(Runtime)

    if TYPE_CHECKING:
        def __getattr__(self, section: str) -> Any:
            """A method's section."""
