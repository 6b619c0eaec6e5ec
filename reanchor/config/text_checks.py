"""Rules that bind settings of text-based search; `reanchor.config.checks` applies them with its own."""

from collections.abc import Iterator
from itertools import pairwise

from reanchor.config.params import Params
from reanchor.config.sections.mgcc import MgccModel
from reanchor.config.sections.text import NO_BACK_TRANSLATIONS, TEXT_TERMS, TbpsRecipe, TbpsTerms


def tbps_rules(params: Params) -> Iterator[str]:
    """What contradicts itself in the settings of TBPS-CLIP and its plain neighbours."""
    config = params.tbps.recipe
    if config.warmup_epochs > config.epochs:
        yield (f"tbps.recipe.warmup_epochs: got {config.warmup_epochs}; allowed: at most tbps.recipe.epochs, which is "
               f"{config.epochs}")
    if not config.lr:
        yield "tbps.recipe.lr: got 0; allowed: above 0"
    if config.min_lr > config.lr:
        yield f"tbps.recipe.min_lr: got {config.min_lr:g}; allowed: at most tbps.recipe.lr, which is {config.lr:g}"
    if config.context in (1, 2):
        yield f"tbps.recipe.context: got {config.context}; allowed: 0 (the backbone's), or at least 3"
    resnet = params.backbone.source in ("open_clip", "file") and params.backbone.model.startswith("RN")
    if resnet and config.chunk:
        yield (f"tbps.recipe.chunk: got {config.chunk} with backbone.model {params.backbone.model!r}; allowed: 0, "
               "since "
               "chunks would change a ResNet's batch norm")
    for name in ("clip_tuned", "sdm", "tbps_clip"):
        recipe = getattr(params.tbps, name)
        if recipe.train:
            yield from (f"tbps.{name}.{complaint}" for complaint in _recipe(recipe, config, resnet))


def _recipe(recipe: TbpsTerms, config: TbpsRecipe, resnet: bool) -> Iterator[str]:
    if not sum(getattr(recipe, term) for term in TEXT_TERMS):
        yield f"train: got true, but every loss weight is 0; allowed: at least one of {', '.join(TEXT_TERMS)} above 0"
    if recipe.multi_view and not recipe.nitc:
        yield "multi_view: got true with nitc 0; allowed: false, since only N-ITC reads the second view"
    if recipe.multi_view and recipe.augment == "none":
        yield "multi_view: got true with augment none, so both views would be one; allowed: false, or flip or pool"
    if recipe.soft_label and not recipe.nitc:
        yield f"soft_label: got {recipe.soft_label} with nitc 0; allowed: 0, since only N-ITC reads soft labels"
    if recipe.mixgen and int(recipe.mixgen * config.batch) < 1:
        yield (f"mixgen: got {recipe.mixgen}, less than one pair of tbps.recipe.batch, which is {config.batch}; "
               "allowed: 0, "
               f"or at least {1 / config.batch:.3g}")
    if recipe.back_translation and config.captions_bt == NO_BACK_TRANSLATIONS:
        yield (f"back_translation: got {recipe.back_translation}, but tbps.recipe.captions_bt is "
               f"{config.captions_bt!r}, "
               "which holds none; allowed: 0, or a file of back translations")
    if resnet and recipe.mlm:
        yield f"mlm: got {recipe.mlm}; allowed: 0, since a ResNet has no image tokens to read masked words with"


def mgcc_rules(params: Params) -> Iterator[str]:
    """The same of MGCC."""
    model = params.mgcc.model
    if model.context in (1, 2):
        yield f"mgcc.model.context: got {model.context}; allowed: 0 (the backbone's), or at least 3"
    if params.mgcc.warmup_epochs > params.mgcc.epochs:
        yield (f"mgcc.warmup_epochs: got {params.mgcc.warmup_epochs}; allowed: at most mgcc.epochs, which is "
               f"{params.mgcc.epochs}")
    if any(left >= right for left, right in pairwise(params.mgcc.milestones)):
        yield f"mgcc.milestones: got {params.mgcc.milestones}; allowed: ascending epochs, each once"
    if model.fusion != "attention" and model.temperature != MgccModel().temperature:
        yield (f"mgcc.model.temperature: got {model.temperature} with mgcc.model.fusion {model.fusion!r}; allowed: "
               f"{MgccModel().temperature}, the default, since only the fusion attention reads it")
    if not model.granularities or len(set(model.granularities)) < len(model.granularities):
        yield (f"mgcc.model.granularities: got {model.granularities}; allowed: at least one of image_text, patch_word, "
               "patch_text and image_word, each once")
    if model.matrices and model.fusion != "attention":
        yield (f"mgcc.model.matrices: got true with mgcc.model.fusion {model.fusion!r}; allowed: false, or the fusion "
               "attention, whose weights they act on")


def search_rules(params: Params) -> Iterator[str]:
    """The same of text-based search's evaluation."""
    methods = params.search.methods
    if not methods or len(set(methods)) < len(methods):
        yield f"search.methods: got {methods}; allowed: at least one method, each once"
    needed = {"mgcc": params.mgcc, **{name: getattr(params.tbps, name) for name in ("clip_tuned", "sdm", "tbps_clip")}}
    for method in (method for method in methods if method in needed and not needed[method].train):
        section = method if method == "mgcc" else f"tbps.{method}"
        yield (f"search.methods: got {method!r} although its training is switched off; allowed: methods whose `train` "
               f"is true ({section}.train=true)")
