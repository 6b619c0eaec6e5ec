"""Settings of the visibility gate."""

from typing import TYPE_CHECKING

from reanchor.config.rules import (
    Complaints,
    ascending,
    at_most,
    blocks_exist,
    needs_patches,
    needs_training,
    value_of,
)
from reanchor.config.setting import section, setting

if TYPE_CHECKING:
    from reanchor.config.params import Params

# Of SAGA's domain anchors those that are made of patch tokens alone: others need the camera, or the [CLS] that a gate
# is yet to act on.
GATING_DOMAINS = ("none", "mlp")


@section
class Gate:
    """The visibility-gated replay of [CLS] (docs/explanation/gate.md)."""

    train: bool = setting(True, "false: no method needs it")
    model: str = setting("clip_reid", "whose weights it stands on, or whose losses train it",
                         choices=("clip_reid", "baseline"))
    trained: bool = setting(False, "false: added to the fine-tuned model; true: stage 2 is trained with it")
    source: str = setting("network", "of the patch tokens' weights: a network of its own; shared: read from the gate "
                                     "encoder's own tokens; saga: by its anchors (needs trained: false); ones: the "
                                     "control", choices=("network", "shared", "saga", "ones"))
    eps: float = setting(0.02, "what a patch that shows nothing of the person still weighs", low=1e-6, high=1.0)
    blocks: int = setting(0, "how many of the last blocks are gated; 0: all", low=0)
    plain_weight: float = setting(1.0, "at test time, of the plain [CLS]'s cosine beside the replayed one's", low=0.0)
    seed: int = setting(0, "of weights, batches and occlusions", low=0)
    network_blocks: int = setting(1, "of the backbone, copied by the visibility network: a sixth of it", low=1)
    shared_blocks: list[int] = setting([1, 2, 4], "source shared: behind which blocks tokens are read, 1-indexed",
                                       low=1)
    shared_own: int = setting(1, "its own narrow blocks on top", low=0)
    visibility_weight: float = setting(20.0, "of the visibility loss, while stage 2 is trained with it", low=0.0)
    epochs: int = setting(22, "passes over the images", low=1)
    batch: int = setting(96, "images", low=2)
    lr: float = setting(1e-3, "of AdamW, cosine", low=0.0)
    weight_decay: float = setting(0.05, "of AdamW", low=0.0)
    warmup_epochs: int = setting(1, "of the linear warm-up", low=0)
    validate_epochs: int = setting(2, "epochs between validations; the best epoch is kept", low=1)
    occluded: float = setting(0.9, "chance of an image to be occluded, drawn anew each time it is seen", low=0.05,
                              high=1.0)
    occluded_stage2: float = setting(0.5, "the same while stage 2 is trained with the gate", low=0.0, high=1.0)
    masking: float = setting(0.2, "how often each kind of occlusion, relative to the others: a grey box", low=0.0)
    ogor: float = setting(0.25, "an object", low=0.0)
    people: float = setting(0.55, "another person", low=0.0)
    behind_share: float = setting(0.25, "of pasted people, behind the person asked for (with person masks only)",
                                  low=0.0, high=1.0)


def _always(params: "Params") -> Complaints:
    gate = params.gate
    yield from ascending(params, "gate.shared_blocks", "blocks")
    if not gate.shared_blocks:
        yield "gate.shared_blocks: got []; allowed: ascending blocks, each once, at least one"
    if not gate.masking + gate.ogor + gate.people:
        yield "gate.masking: got 0 beside gate.ogor 0 and gate.people 0; allowed: at least one of the three above 0"
    yield from at_most(params, "gate.warmup_epochs", "gate.epochs")


def _trained(params: "Params") -> Complaints:
    gate = params.gate
    if not gate.train:
        return
    yield from needs_patches(params, "gate.train")
    yield from blocks_exist(params, "gate.blocks")
    yield from blocks_exist(params, "gate.network_blocks")
    if gate.source == "shared":
        yield from blocks_exist(params, "gate.shared_blocks")
    if params.occlude.masks:
        yield (f"occlude.masks: got {params.occlude.masks!r} with gate.train true; allowed: none, since the gate "
               "learns from the masks of the prepared data alone; choose method=saga, or give the dataset masks of its "
               "own")
    yield from _of_stage2(params) if gate.trained else _of_a_model(params)


def _of_stage2(params: "Params") -> Complaints:
    gate = params.gate
    if value_of(params, f"finetune.{gate.model}").text:
        yield from needs_training(params, "prompts.train", f"gate.trained is true and gate.model is {gate.model!r}")
    if gate.plain_weight:
        yield (f"gate.plain_weight: got {gate.plain_weight} with gate.trained true; allowed: 0, since stage 2 trains "
               "the replayed [CLS] alone; choose method=gate_trained")


def _of_a_model(params: "Params") -> Complaints:
    yield from needs_training(params, f"finetune.{params.gate.model}.train",
                              f"gate.train is true and gate.model is {params.gate.model!r}")


def _source(params: "Params") -> Complaints:
    gate, saga, sie = params.gate, params.saga, params.finetune.recipe.sie
    if gate.train and gate.source in ("shared", "saga") and sie != "none":
        yield (f"finetune.recipe.sie: got {sie!r} with gate.source {gate.source!r}; allowed: none, since it reads "
               "tokens without side information; choose gate.source=network")
    if gate.train and gate.source == "saga" and (gate.trained or gate.model != "clip_reid" or not saga.train):
        yield (f"gate.source: got 'saga' with gate.trained {str(gate.trained).lower()}, gate.model {gate.model!r} and "
               f"saga.train {str(saga.train).lower()}; allowed: false, 'clip_reid' and true, since SAGA's anchors are "
               "trained on CLIP-ReID's finished tokens")
    if gate.train and gate.source == "saga" and saga.domain not in GATING_DOMAINS:
        yield (f"saga.domain: got {saga.domain!r} with gate.source 'saga'; allowed: {' or '.join(GATING_DOMAINS)}, "
               "whose anchors are made of patch tokens alone")


SECTIONS = {"gate": Gate}
RULES = (_always, _source, _trained)
