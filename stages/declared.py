"""What DVC must know of each stage beside its code: what it reads, its settings, what it writes.

`python -m stages.graph` writes dvc.yaml from this, the records of the methods and the imports of each stage's code.
"""

from dataclasses import dataclass, field

from reanchor.methods.method import IMAGE, SENTENCE, Method
from reanchor.methods.registry import judged, trained

DATA = ("data/prepared", "data/occluded")
FIRST, LAST = ("render", "prepare", "occlude", "backbone"), ("evaluate", "search", "report")  # sections


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml."""

    name: str
    reads: tuple[str, ...] = ()  # files and folders; ${setting} is filled in by DVC
    settings: tuple[str, ...] = ()  # sections or leaves of params.yaml
    writes: tuple[str, ...] = ()
    plots: dict[str, tuple[str, str]] = field(default_factory=dict)  # table -> columns of x and y
    command: str = ""  # empty: python -m stages.NAME
    code: tuple[str, ...] = ()  # modules whose imports are its code; empty: stages.NAME

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules whose imports are its code."""
        return self.code or (f"stages.{self.name}",)


def stages() -> list[Stage]:
    """All stages, in the order data flows."""
    images = tuple(dict.fromkeys(method.model for method in judged(IMAGE).values() if method.model))
    texts = tuple(dict.fromkeys(method.model for method in judged(SENTENCE).values()))
    makers = [_of_method(method) for method in trained().values()]
    return [
        Stage("render", settings=("render",), writes=("data/streetfolk",)),
        Stage("prepare", ("${prepare.root}",), ("prepare",), ("data/prepared",)),
        Stage("occlude", ("data/prepared",), ("occlude",), ("data/occluded",)),
        Stage("backbone", ("${backbone.path}",), ("backbone", "prepare.height", "prepare.width"), ("models/backbone",),
              {"reports/backbone/curves.csv": ("step", "loss")}),
        *makers,
        Stage("evaluate", (*DATA, *images), ("evaluate",),
              tuple(f"reports/evaluate/{name}" for name in (
                  "queries.parquet", "results.parquet", "differences.parquet", "rankings.parquet", "token_maps.parquet",
                  "token_weights.parquet", "slopes.json", "areas.json", "anchor_parts.json", "token_shares.json",
                  "protocol.json")),
              {"reports/evaluate/accuracy.csv": ("ratio", "mAP"),
               "reports/evaluate/cmc.csv": ("rank", "matching_rate")}),
        Stage("search", (*DATA, *texts), ("search",),
              tuple(f"reports/search/{name}" for name in (
                  "queries.parquet", "results.parquet", "differences.parquet", "rankings.parquet", "protocol.json",
                  "cost.json"))),
        Stage("report", (*DATA, *(f"reports/{name}/metrics.json" for name in ("render", "prepare", "occlude")),
                         "reports/backbone", *(f"reports/{stage.name}" for stage in makers), "reports/evaluate",
                         "reports/search"),
              (*FIRST, *_sections(), *LAST), ("reports/summary.json", "reports/index.html")),
    ]


def _sections() -> tuple[str, ...]:
    """The methods' sections of params.yaml: the report lists every setting of the study."""
    named = (key.partition(".")[0] for method in trained().values() for key in method.settings)
    return tuple(section for section in dict.fromkeys(named) if section not in FIRST)


def _of_method(method: Method) -> Stage:
    name = method.name
    plots = {f"reports/{name}/curves.csv": ("step", method.curve)} if method.curve else {}
    return Stage(name, method.reads, method.settings, (method.model,), plots, f"python -m stages.train {name}",
                 (method.train.partition(":")[0],))
