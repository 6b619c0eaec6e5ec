"""Which models there are, what each starts from, where its weights lie."""

from reanchor.config.params import Params

PARENTS = {  # model: folders of the weights it starts from
    "prompts": ("models/backbone",),
    "baseline": ("models/backbone",),
    "clip_reid": ("models/backbone", "models/prompts"),
    "saga": ("models/backbone", "models/finetune/clip_reid"),
    "clip_tuned": ("models/backbone",), "sdm": ("models/backbone",), "tbps_clip": ("models/backbone",),
    "mgcc": ("models/backbone",),
}
METHODS = {  # evaluated method: its weights
    "histogram": None,  # has none
    "zero_shot": "models/backbone", "baseline": "models/finetune/baseline",
    "clip_reid": "models/finetune/clip_reid", "saga": "models/saga", "gated": "models/gate",
    "imported": "models/imported",
}
MODELS = {"gated": "gate"}  # method: its model, where their names differ
SEARCHERS = {  # the same as METHODS for text-based methods, judged by `search`
    "zero_shot": "models/backbone", "clip_tuned": "models/tbps/clip_tuned", "sdm": "models/tbps/sdm",
    "tbps_clip": "models/tbps/tbps_clip", "mgcc": "models/mgcc",
}
NO_FEATURE = ("mgcc",)  # a similarity of two sets of tokens
SECTIONS = {  # stage: the sections of params.yaml that shape its model
    "backbone": ("backbone",), "prompts": ("prompts",), "finetune": ("finetune",), "tbps": ("tbps",),
    "saga": ("saga",),
    "gate": ("gate", "finetune"), "imported": ("imported",),
    "mgcc": ("mgcc",),
}


def parents_of(model: str, params: Params) -> tuple[str, ...]:
    """Folders of the weights that a model starts from; the gate's depend on its settings."""
    if model != "gate":
        return PARENTS.get(model, ())
    if params.gate.source == "saga":
        return ("models/saga",)  # which holds a backbone of its own
    if params.gate.trained:
        return PARENTS[params.gate.model]
    return "models/backbone", f"models/finetune/{params.gate.model}"
