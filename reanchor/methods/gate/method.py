"""What the house knows of the visibility gate."""

from reanchor.methods.method import IMAGE, Method
from reanchor.methods.registry import methods

METHODS = (
    Method("gate", "Gated [CLS]", place=50, queries=(IMAGE,), stage="gate", schema="reanchor.methods.gate.settings",
           settings=("gate", "occlude", "finetune"),
           reads=("data/prepared", "data/occluded", "models/backbone", "models/prompts", "models/${gate.model}",
                  "models/saga"),
           parents="reanchor.methods.gate.method:parents", switch="gate.train", seed="gate.seed",
           curve="visibility_loss", occlusion=True, held_out=True, kind="gate",
           train="reanchor.methods.gate.train:train_gate", embed="reanchor.methods.gate.embedder:load"),
)


def parents(params) -> tuple[str, ...]:
    """Where its weights come from depends on its settings."""
    if params.gate.source == "saga":
        return ("models/saga",)  # which holds a backbone of its own
    model = methods()[params.gate.model]
    if params.gate.trained:
        return tuple(folder for folder in model.reads if folder.startswith("models/"))
    return "models/backbone", model.model
