"""Rules that bind several settings; each names both keys, both values and the remedy."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import PurePosixPath

from reanchor.config.params import Params
from reanchor.config.sections.models import NOTHING_IMPORTED
from reanchor.config.sections.training import GATING_DOMAINS
from reanchor.config.text_checks import mgcc_rules, search_rules, tbps_rules
from reanchor.errors import ReanchorError

STREETFOLK_ROOT = "data/streetfolk"
GENERIC_ANCHORS = 32  # as many phrases as `reanchor.methods.saga.frozen` has
_OPEN_CLIP_BLOCKS = {"ViT-B": 12, "ViT-L": 24, "ViT-H": 32}  # by the model name's beginning
_OPEN_CLIP_WIDTHS = {"ViT-B": 768, "ViT-L": 1024, "ViT-H": 1280}


def check_together(params: Params, source: str) -> None:
    """Raise ReanchorError for the first rule that `params` breaks."""
    for rule in _RULES:
        for complaint in rule(params):
            raise ReanchorError(f"{source}: {complaint}")


def vision_blocks(params: Params) -> int | None:
    """Transformer blocks of the configured backbone's image tower; None where only its file can tell."""
    backbone = params.backbone
    if backbone.source in ("pretrain", "shipped"):  # shipped weights were made by the same recipe
        return backbone.pretrain.vision_layers
    return _of_open_clip(params, _OPEN_CLIP_BLOCKS)


def token_width(params: Params) -> int | None:
    """Width of the configured backbone's tokens; None where only its file can tell."""
    if params.backbone.source in ("pretrain", "shipped"):
        return params.backbone.pretrain.vision_width
    return _of_open_clip(params, _OPEN_CLIP_WIDTHS)


def _of_open_clip(params: Params, known: dict[str, int]) -> int | None:
    if params.backbone.source != "open_clip":
        return None
    return next((value for beginning, value in known.items() if params.backbone.model.startswith(beginning)), None)


def _data(params: Params) -> Iterator[str]:
    prepare, occlude = params.prepare, params.occlude
    if not prepare.root.strip():
        yield f"prepare.root: got {prepare.root!r}; allowed: the dataset's folder"
    table = PurePosixPath(prepare.table.strip())
    if not table.name or table.is_absolute() or ".." in table.parts:
        yield (f"prepare.table: got {prepare.table!r}; allowed: the name of a CSV file in prepare.root, such as "
               "dataset.csv")
    if not params.render.enabled and prepare.root == STREETFOLK_ROOT:
        yield (f"prepare.root: got {prepare.root!r} while render.enabled is false, so nothing fills that "
               "folder; set render.enabled=true or name your own dataset's folder")
    if occlude.ratio_low > occlude.ratio_high:
        yield (f"occlude.ratio_low: got {occlude.ratio_low}; allowed: at most occlude.ratio_high, "
               f"which is {occlude.ratio_high}")
    for name in ("masking_ratios", "people_ratios", "mixed_ratios"):
        ratios = getattr(occlude, name)
        if len({round(ratio, 2) for ratio in ratios}) < len(ratios):
            yield f"occlude.{name}: got {ratios}; allowed: ratios that differ in their first two decimals"
    for name in ("masking_shapes", "masking_positions", "people_from", "people_layers", "people_edges", "mixed_with"):
        values = getattr(occlude, name)
        if not values or len(set(values)) < len(values):
            yield f"occlude.{name}: got {values}; allowed: at least one value, each once, the plain one first"
    yield from _nothing_held_out(params)
    trains = params.finetune.baseline.train or params.finetune.clip_reid.train
    if trains and prepare.validation_share and "val" not in occlude.splits:
        yield (f"occlude.splits: got {occlude.splits} while models are trained; allowed: val among them, since their "
               "checkpoints are chosen on its OGor queries (or method=zero_shot)")
    if occlude.sides != "query" and not occlude.gallery_share:
        yield (f"occlude.gallery_share: got 0 with occlude.sides {occlude.sides!r}; allowed: above 0, the share of the "
               "gallery that is occluded")


def _nothing_held_out(params: Params) -> Iterator[str]:
    trained = {"saga": params.saga, "gate": params.gate, "mgcc": params.mgcc}
    trained |= {f"tbps.{name}": getattr(params.tbps, name) for name in ("clip_tuned", "sdm", "tbps_clip")}
    for name in (name for name, section in trained.items() if section.train and not params.prepare.validation_share):
        yield (f"prepare.validation_share: got 0 with {name}.train true; allowed: above 0, since it is chosen on "
               "held-out identities, or method=clip_reid, which then keeps the last epoch")


def _pretrain(params: Params) -> Iterator[str]:
    recipe = params.backbone.pretrain
    for name in ("vision_width", "text_width"):
        width = getattr(recipe, name)
        if width % recipe.heads:
            yield (f"backbone.pretrain.{name}: got {width}; allowed: a multiple of backbone.pretrain.heads, "
                   f"which is {recipe.heads}")
    if recipe.token_block > recipe.vision_layers:
        yield (f"backbone.pretrain.token_block: got {recipe.token_block}; allowed: 1 to "
               f"backbone.pretrain.vision_layers, which is {recipe.vision_layers}")


def _backbone(params: Params) -> Iterator[str]:
    backbone = params.backbone
    if backbone.source in ("shipped", "file") and not backbone.path.strip():
        yield (f"backbone.path: got {backbone.path!r}; allowed: a weight file, as backbone.source is "
               f"{backbone.source!r}")
    if backbone.source == "open_clip" and not (backbone.model.strip() and backbone.tag.strip()):
        yield (f"backbone.model: got {backbone.model!r}, backbone.tag: got {backbone.tag!r}; allowed: "
               "both names of a pre-trained open_clip model, as listed by open_clip.list_pretrained()")
    if backbone.source in ("open_clip", "file") and backbone.model.startswith("RN"):
        for name, value in (("saga.train", params.saga.train), ("gate.train", params.gate.train),
                            ("mgcc.train", params.mgcc.train)):
            if value:
                yield (f"{name}: got true with backbone.model {backbone.model!r}; allowed: false, since a ResNet has "
                       "no patch tokens to read (choose method=clip_reid or method=baseline)")
        if params.backbone.stride:
            yield (f"backbone.stride: got {params.backbone.stride} with backbone.model {backbone.model!r}; allowed: 0, "
                   "since a ResNet has no patches")
        if params.finetune.recipe.sie != "none":
            yield (f"finetune.recipe.sie: got {params.finetune.recipe.sie!r} with backbone.model {backbone.model!r}; "
                   "allowed: none, "
                   "since a ResNet has no [CLS]")
    blocks = vision_blocks(params)
    if blocks is not None and max(params.saga.token_blocks, default=1) > blocks:
        yield (f"saga.token_blocks: got {params.saga.token_blocks}; allowed: 1 to {blocks}, "
               f"the blocks of backbone.source {backbone.source!r}")


def _training(params: Params) -> Iterator[str]:
    finetune, prompts = params.finetune, params.prompts
    if any(left >= right for left, right in pairwise(finetune.recipe.milestones)):
        yield f"finetune.recipe.milestones: got {finetune.recipe.milestones}; allowed: ascending epochs, each once"
    for name, warmup, epochs in (("prompts", prompts.warmup_epochs, prompts.epochs),
                                 ("finetune.recipe", finetune.recipe.warmup_epochs, finetune.recipe.epochs)):
        if warmup > epochs:
            yield f"{name}.warmup_epochs: got {warmup}; allowed: at most {name}.epochs, which is {epochs}"
    if finetune.recipe.warmup_steps and (finetune.recipe.schedule != "multistep" or finetune.recipe.warmup_epochs):
        yield (f"finetune.recipe.warmup_steps: got {finetune.recipe.warmup_steps} with schedule "
               f"{finetune.recipe.schedule!r} and "
               f"warmup_epochs {finetune.recipe.warmup_epochs}; allowed: multistep and 0 beside it, or warmup_steps=0")
    if prompts.train and finetune.clip_reid.train and finetune.clip_reid.text and not (
            prompts.epochs or finetune.recipe.one_stage):
        yield ("prompts.epochs: got 0 while finetune.recipe.one_stage is false, so CLIP-ReID would learn from random "
               "prompts; "
               "allowed: at least 1, or ablation=one_stage")
    if finetune.recipe.one_stage and finetune.clip_reid.train and (finetune.clip_reid.i2tce
                                                                   or not finetune.clip_reid.i2t):
        yield (f"finetune.clip_reid.i2tce: got {finetune.clip_reid.i2tce} with i2t {finetune.clip_reid.i2t}; allowed "
               "while finetune.recipe.one_stage is true: i2tce 0 and i2t above 0, the contrast within the batch "
               "(train=... ablation=one_stage sets all three)")


def _saga(params: Params) -> Iterator[str]:
    saga = params.saga
    if saga.frozen_slots > saga.context_slots:
        yield (f"saga.frozen_slots: got {saga.frozen_slots}; allowed: at most saga.context_slots, "
               f"which is {saga.context_slots}")
    if any(left >= right for left, right in pairwise(saga.token_blocks)):
        yield f"saga.token_blocks: got {saga.token_blocks}; allowed: ascending blocks, each once"
    if len(saga.token_blocks) > saga.text_anchors:
        yield (f"saga.token_blocks: got {len(saga.token_blocks)} blocks, which share the anchors; allowed: at most "
               f"saga.text_anchors, which is {saga.text_anchors}")
    width = token_width(params)
    if saga.train and width is not None and width % saga.refine_heads:
        yield (f"saga.refine_heads: got {saga.refine_heads}; allowed: a divisor of {width}, the token width of "
               f"backbone.source {params.backbone.source!r}")
    if saga.train and saga.anchors == "generic_frozen" and saga.text_anchors > GENERIC_ANCHORS:
        yield f"saga.text_anchors: got {saga.text_anchors}; allowed: at most {GENERIC_ANCHORS} generic anchors"
    if not saga.fusion_grid:
        yield "saga.fusion_grid: got []; allowed: at least one weight"
    if saga.fusion_weights and (len(saga.fusion_weights) != 3 or not sum(saga.fusion_weights)):
        yield (f"saga.fusion_weights: got {saga.fusion_weights}; allowed: three weights (refined, [CLS], projection), "
               "not all 0, or [] to choose them on validation identities")
    if saga.epochs_4 and params.finetune.recipe.one_stage:
        yield (f"saga.epochs_4: got {saga.epochs_4} while finetune.recipe.one_stage is true; allowed: 0, since "
               "one-stage "
               "training leaves no texts to go on with")
    if saga.epochs_4 and not params.prompts.train:
        yield f"prompts.train: got false; allowed: true, since saga.epochs_4 is {saga.epochs_4}"


def _gate(params: Params) -> Iterator[str]:
    gate, blocks = params.gate, vision_blocks(params)
    for name, value in (("blocks", gate.blocks), ("network_blocks", gate.network_blocks)):
        if gate.train and blocks is not None and value > blocks:
            yield (f"gate.{name}: got {value}; allowed: at most {blocks}, the blocks of backbone.source "
                   f"{params.backbone.source!r}")
    if any(left >= right for left, right in pairwise(gate.shared_blocks)) or not gate.shared_blocks:
        yield f"gate.shared_blocks: got {gate.shared_blocks}; allowed: ascending blocks, each once, at least one"
    elif gate.train and gate.source == "shared" and blocks is not None and gate.shared_blocks[-1] > blocks:
        yield (f"gate.shared_blocks: got {gate.shared_blocks}; allowed: 1 to {blocks}, the blocks of backbone.source "
               f"{params.backbone.source!r}")
    if not gate.masking + gate.ogor + gate.people:
        yield "gate.masking: got 0 beside gate.ogor 0 and gate.people 0; allowed: at least one of the three above 0"
    if gate.train and params.occlude.masks:
        yield (f"occlude.masks: got {params.occlude.masks!r} with gate.train true; allowed: none, since the gate "
               "learns from the masks of the prepared data alone; choose method=saga, or give the dataset masks of its "
               "own")
    if gate.train and gate.source in ("shared", "saga") and params.finetune.recipe.sie != "none":
        yield (f"finetune.recipe.sie: got {params.finetune.recipe.sie!r} with gate.source {gate.source!r}; allowed: "
               "none, since it "
               "reads tokens without side information; choose gate.source=network")
    if gate.train and gate.source == "saga" and (gate.trained or gate.model != "clip_reid" or not params.saga.train):
        yield (f"gate.source: got 'saga' with gate.trained {str(gate.trained).lower()}, gate.model {gate.model!r} and "
               f"saga.train {str(params.saga.train).lower()}; allowed: false, 'clip_reid' and true, since SAGA's "
               "anchors are trained on CLIP-ReID's finished tokens")
    if gate.train and gate.source == "saga" and params.saga.domain not in GATING_DOMAINS:
        yield (f"saga.domain: got {params.saga.domain!r} with gate.source 'saga'; allowed: "
               f"{' or '.join(GATING_DOMAINS)}, whose anchors are made of patch tokens alone")
    if gate.warmup_epochs > gate.epochs:
        yield f"gate.warmup_epochs: got {gate.warmup_epochs}; allowed: at most gate.epochs, which is {gate.epochs}"
    if gate.train and not gate.trained and not getattr(params.finetune, gate.model).train:
        yield (f"finetune.{gate.model}.train: got false; allowed: true, since gate.train is true and gate.model is "
               f"{gate.model!r}")
    if gate.train and gate.trained and getattr(params.finetune, gate.model).text and not params.prompts.train:
        yield f"prompts.train: got false; allowed: true, since gate.trained is true and gate.model is {gate.model!r}"
    if gate.train and gate.trained and gate.plain_weight:
        yield (f"gate.plain_weight: got {gate.plain_weight} with gate.trained true; allowed: 0, since stage 2 trains "
               "the replayed [CLS] alone; choose method=gate_trained")


def _evaluation(params: Params) -> Iterator[str]:
    methods = params.evaluate.methods
    needed = {"baseline": params.finetune.baseline, "clip_reid": params.finetune.clip_reid, "saga": params.saga,
              "gate": params.gate}
    for method in (method for method in methods if method in needed and not needed[method].train):
        yield f"evaluate.methods: got {method!r} although its training is switched off; allowed: methods whose " \
              "`train` is true (choose a group option: method=saga, gate, clip_reid or baseline)"
    saga, width = params.saga, token_width(params)
    if saga.train and "orthogonal" in params.evaluate.saga_features and saga.feature_width and width and (
            saga.feature_width != width):
        yield (f"saga.feature_width: got {saga.feature_width} with 'orthogonal' in evaluate.saga_features; allowed: 0 "
               f"or {width}, the width of [CLS], which it is made orthogonal to")
    if params.finetune.clip_reid.train and not params.prompts.train:
        yield "prompts.train: got false; allowed: true, since finetune.clip_reid.train is true"
    if params.saga.train and not params.finetune.clip_reid.train:
        yield "finetune.clip_reid.train: got false; allowed: true, since saga.train is true"
    for term in ("i2tce", "i2t", "t2i"):
        if weight := getattr(params.finetune.baseline, term):
            yield f"finetune.baseline.{term}: got {weight}; allowed: 0, the baseline has no text"
    if not methods or len(set(methods)) < len(methods):
        yield f"evaluate.methods: got {methods}; allowed: at least one method, each once"


def _imported(params: Params) -> Iterator[str]:
    path = params.imported.path
    if not path.strip():
        yield (f"imported.path: got {path!r}; allowed: a checkpoint, a model folder, or {NOTHING_IMPORTED} where "
               "nothing is imported")
    if path != NOTHING_IMPORTED and "imported" not in params.evaluate.methods:
        yield (f"imported.path: got {path!r}, but evaluate.methods has no 'imported', so nothing would read it; "
               "choose method=imported, or add 'imported' to evaluate.methods")


_RULES: tuple[Callable[[Params], Iterator[str]], ...] = (_data, _pretrain, _backbone, _training, tbps_rules, _saga,
                                                         _gate, mgcc_rules, _evaluation, search_rules, _imported)
