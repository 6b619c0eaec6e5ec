"""Settings of text-based person search by two features: TBPS-CLIP, plain CLIP, IRRA's loss."""

from typing import TYPE_CHECKING

from reanchor.config.rules import Complaints, at_most
from reanchor.config.setting import nested, section, setting
from reanchor.config.towers import is_resnet

if TYPE_CHECKING:
    from reanchor.config.params import Params

NO_BACK_TRANSLATIONS = "conf/captions_bt.json"  # an empty list: DVC needs some file to watch
TEXT_TERMS = ("itc", "nitc", "ritc", "citc", "ss", "sdm", "id", "mlm")  # a loss weight each


@section
class TbpsTerms:
    """Loss weights and tricks of one method; a weight of 0 leaves the term out."""

    train: bool = setting(False, "false: no method needs it")
    itc: float = setting(0.0, "CLIP's own contrast: of a batch's sentences one belongs to an image", low=0.0)
    nitc: float = setting(0.0, "N-ITC: all sentences of the identity do, and soft labels", low=0.0)
    ritc: float = setting(0.0, "R-ITC: the divergence the other way round", low=0.0)
    citc: float = setting(0.0, "C-ITC: cyclic consistency of cosines", low=0.0)
    ss: float = setting(0.0, "SimCLR on two further views (twice the cost)", low=0.0)
    sdm: float = setting(0.0, "IRRA's similarity distribution matching", low=0.0)
    id: float = setting(0.0, "identity cross entropy of both features", low=0.0)
    mlm: float = setting(0.0, "masked words, read with the image's help", low=0.0)
    multi_view: bool = setting(False, "MVS: a second view of the image joins N-ITC")
    soft_label: float = setting(0.0, "the model's own share of N-ITC's target, from epoch 2 on", low=0.0, high=1.0)
    dropout: float = setting(0.0, "of attention in the text tower", low=0.0, high=0.9)
    lock: bool = setting(False, "true: the patch embedding is not trained")
    augment: str = setting("flip", "of images; pool: two draws of TBPS-CLIP's six", choices=("none", "flip", "pool"))
    clean: bool = setting(False, "true: sentences lose most punctuation, at test time too")
    deletion: float = setting(0.0, "chance of each word to go", low=0.0, high=0.9)
    back_translation: float = setting(0.0, "chance of a sentence's back translation (recipe.captions_bt)", low=0.0,
                                      high=1.0)
    mixgen: float = setting(0.0, "share of a batch that is mixed with other pairs", low=0.0, high=0.5)


@section
class ClipTuned(TbpsTerms):
    """CLIP fine-tuned as it was trained."""

    itc = 1.0


@section
class Sdm(TbpsTerms):
    """The same, its contrast replaced by IRRA's."""

    sdm = 1.0


@section
class TbpsClip(TbpsTerms):
    """TBPS-CLIP, simplified; ablation=tbps_full: whole."""

    train = True
    nitc = 1.0
    ritc = 1.0
    soft_label = 0.5
    dropout = 0.05
    lock = True
    augment = "pool"
    clean = True
    deletion = 0.05


@section
class TbpsRecipe:
    """How all of them are trained."""

    seed: int = setting(0, "of weights, batches and augmentation", low=0)
    epochs: int = setting(2, "each pair once an epoch", low=1)
    batch: int = setting(128, "pairs that are contrasted", low=2)
    chunk: int = setting(0, "pairs encoded at a time (gradient caching); 0: the whole batch", low=0)
    lr: float = setting(1e-3, "of AdamW", low=0.0)
    warmup_epochs: int = setting(1, "of the linear warm-up", low=0)
    warmup_lr: float = setting(1e-6, "where the warm-up begins", low=0.0)
    min_lr: float = setting(5e-5, "where the cosine heads for", low=0.0)
    weight_decay: float = setting(0.02, "of AdamW", low=0.0)
    context: int = setting(0, "slots of a sentence; 0: the backbone's", low=0, high=1024)
    few_shot: float = setting(1.0, "share of the training data", low=0.0001, high=1.0)
    few_shot_of: str = setting("pairs", "what it is a share of", choices=("pairs", "identities"))
    occluded: float = setting(1.0, "chance to see an image's OGor copy, where it has one", low=0.0, high=1.0)
    precision: str = setting("fp32", "bf16: autocast; auto: bf16 where the processor has it",
                             choices=("fp32", "bf16", "auto"))
    validate_epochs: int = setting(1, "epochs between validations; the best epoch is kept", low=1)
    temperature: float = setting(0.02, "of sdm", low=1e-4)
    ss_temperature: float = setting(0.1, "of ss", low=1e-4)
    captions_bt: str = setting(NO_BACK_TRANSLATIONS, "back translations, as TBPS-CLIP's authors annotate them; the "
                                                     "default: none")


@section
class Tbps:
    """Text-based search by two features (docs/explanation/tbps_clip.md): one recipe; losses and tricks by method."""

    recipe: TbpsRecipe = nested(TbpsRecipe)
    clip_tuned: ClipTuned = nested(ClipTuned)
    sdm: Sdm = nested(Sdm)
    tbps_clip: TbpsClip = nested(TbpsClip)


def _recipe(params: "Params") -> Complaints:
    recipe = params.tbps.recipe
    yield from at_most(params, "tbps.recipe.warmup_epochs", "tbps.recipe.epochs")
    if not recipe.lr:
        yield "tbps.recipe.lr: got 0; allowed: above 0"
    yield from at_most(params, "tbps.recipe.min_lr", "tbps.recipe.lr")
    if recipe.context in (1, 2):
        yield f"tbps.recipe.context: got {recipe.context}; allowed: 0 (the backbone's), or at least 3"
    if recipe.chunk and is_resnet(params):
        yield (f"tbps.recipe.chunk: got {recipe.chunk} with backbone.model {params.backbone.model!r}; allowed: 0, "
               "since chunks would change a ResNet's batch norm")


def _methods(params: "Params") -> Complaints:
    for name in ("clip_tuned", "sdm", "tbps_clip"):
        terms = getattr(params.tbps, name)
        if terms.train:
            yield from (f"tbps.{name}.{found}" for found in (*_losses(terms, params), *_sentences(terms, params)))


def _losses(terms: TbpsTerms, params: "Params") -> Complaints:
    if not any(getattr(terms, term) for term in TEXT_TERMS):
        yield f"train: got true, but every loss weight is 0; allowed: at least one of {', '.join(TEXT_TERMS)} above 0"
    if terms.multi_view and not terms.nitc:
        yield "multi_view: got true with nitc 0; allowed: false, since only N-ITC reads the second view"
    if terms.multi_view and terms.augment == "none":
        yield "multi_view: got true with augment none, so both views would be one; allowed: false, or flip or pool"
    if terms.soft_label and not terms.nitc:
        yield f"soft_label: got {terms.soft_label} with nitc 0; allowed: 0, since only N-ITC reads soft labels"
    if terms.mlm and is_resnet(params):
        yield f"mlm: got {terms.mlm}; allowed: 0, since a ResNet has no image tokens to read masked words with"


def _sentences(terms: TbpsTerms, params: "Params") -> Complaints:
    recipe = params.tbps.recipe
    if terms.mixgen and int(terms.mixgen * recipe.batch) < 1:
        yield (f"mixgen: got {terms.mixgen}, less than one pair of tbps.recipe.batch, which is {recipe.batch}; "
               f"allowed: 0, or at least {1 / recipe.batch:.3g}")
    if terms.back_translation and recipe.captions_bt == NO_BACK_TRANSLATIONS:
        yield (f"back_translation: got {terms.back_translation}, but tbps.recipe.captions_bt is "
               f"{recipe.captions_bt!r}, which holds none; allowed: 0, or a file of back translations")


SECTIONS = {"tbps": Tbps}
RULES = (_recipe, _methods)
