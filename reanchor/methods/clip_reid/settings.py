"""Settings of CLIP-ReID: its prompts (stage 1), and stage 2 with the no-text baseline."""

from typing import TYPE_CHECKING

from reanchor.config.rules import Complaints, ascending, at_most, needs_training
from reanchor.config.setting import nested, section, setting
from reanchor.config.towers import is_resnet

if TYPE_CHECKING:
    from reanchor.config.params import Params

TEXT_TERMS = ("i2tce", "i2t", "t2i")  # the loss terms that read the identities' texts


@section
class Prompts:
    """CLIP-ReID stage 1: a prompt for each identity."""

    train: bool = setting(True, "false: no method needs them")
    seed: int = setting(0, "of the prompts and batches", low=0)
    context: int = setting(4, "learnable vectors per identity", low=1, high=64)
    zero_slots: int = setting(0, "slots of zeros behind them (SAGA)", low=0, high=64)
    before: str = setting("a photo of a", "prompt text before the learned vectors")
    after: str = setting("person.", "and after")
    features: str = setting("instance", "of the images: one by one, or the average of an identity's (quicker)",
                            choices=("instance", "average"))
    epochs: int = setting(30, "0: the prompts stay random, for finetune.recipe.one_stage", low=0)
    batch: int = setting(256, "images", low=2)
    lr: float = setting(1e-2, "of Adam", low=1e-9)
    schedule: str = setting("clip_reid", "saga: the rate begins at warmup_lr, the cosine behind the warm-up",
                            choices=("clip_reid", "saga"))
    warmup_lr: float = setting(1e-5, "where the warm-up begins", low=0.0)
    min_lr: float = setting(1e-6, "where the cosine ends", low=0.0)
    warmup_epochs: int = setting(5, "of the linear warm-up", low=0)
    weight_decay: float = setting(1e-4, "of Adam", low=0.0)
    temperature: float = setting(1.0, "of the softmax over un-normalised products, as published", low=1e-4)
    normalise: bool = setting(False, "true: cosines in place of products")


@section
class LossWeights:
    """Weights of stage 2's loss terms; the defaults are the published ones."""

    train: bool = setting(True, "false: no method needs this model")
    id: float = setting(0.25, "identity cross entropy", low=0.0)
    triplet: float = setting(1.0, "batch-hard triplet", low=0.0)
    i2tce: float = setting(1.0, "image to the texts of all identities", low=0.0)
    i2t: float = setting(0.0, "contrast with the texts of the batch, image to text", low=0.0)
    t2i: float = setting(0.0, "and text to image", low=0.0)
    token: float = setting(0.0, "ID + triplet on the mean patch token", low=0.0)

    @property
    def text(self) -> bool:
        """Whether any term needs the identities' texts."""
        return any(getattr(self, term) for term in TEXT_TERMS)


@section
class ClipReidWeights(LossWeights):
    """Weights of stage 2's loss terms for CLIP-ReID; published: id 0.25 and token 0."""

    id = 1.0
    token = 0.5


@section
class BaselineWeights(ClipReidWeights):
    """The same for the baseline, which has no text."""

    i2tce = 0.0


@section
class FinetuneRecipe:
    """How both are trained."""

    seed: int = setting(0, "of weights, batches and augmentation", low=0)
    epochs: int = setting(10, "passes over the identities", low=1)
    identities: int = setting(16, "P per batch", low=2)
    images: int = setting(4, "K per identity", low=2)
    optimizer: str = setting("adamw", choices=("adam", "adamw"))
    lr: float = setting(1e-3, "of the encoder", low=0.0)
    bias_lr_factor: float = setting(1.0, "on biases", low=0.0)
    head_lr_factor: float = setting(5.0, "on classifiers", low=0.0)
    weight_decay: float = setting(0.05, "of the optimiser", low=0.0)
    schedule: str = setting("cosine", "of the rate", choices=("cosine", "multistep"))
    milestones: list[int] = setting([30, 50], "epochs of multistep's x 0.1", low=1)
    warmup_epochs: int = setting(1, "of the linear warm-up", low=0)
    warmup_steps: int = setting(0, "of the optimiser, in place of epochs; multistep's rate then changes between steps",
                                low=0)
    warmup_factor: float = setting(0.1, "of lr, where the warm-up begins", low=0.0, high=1.0)
    label_smoothing: float = setting(0.1, "of the identity cross entropy", low=0.0, high=0.9)
    margin: float = setting(0.3, "of the batch-hard triplet", low=0.0)
    soft_margin: bool = setting(False, "true: log(1 + exp(gap)) in place of the margin")
    flip: float = setting(0.5, "chance of a mirrored image", low=0.0, high=1.0)
    pad: int = setting(4, "pixels of padding before the random crop", low=0)
    erase: float = setting(0.5, "chance of random erasing", low=0.0, high=1.0)
    occluded: float = setting(0.5, "chance to see an image's OGor copy, where it has one", low=0.0, high=1.0)
    one_stage: bool = setting(False, "true: the prompts are learned along with the encoder, not before it")
    prompt_lr: float = setting(1e-2, "of the prompts then, as stage 1", low=0.0)
    early_triplet: bool = setting(True, "triplet on the feature before the last block (or layer4) too")
    heads: str = setting("both", "cls: ID loss and triplet on the last feature alone (SAGA)", choices=("both", "cls"))
    neck_bias: bool = setting(False, "true: the BN necks learn a bias (SAGA)")
    sie: str = setting("none", "side information embedding", choices=("none", "camera", "view", "both"))
    sie_tokens: str = setting("cls", "what it is added to: [CLS] or all tokens", choices=("cls", "all"))
    sie_coefficient: float = setting(1.0, "what it is multiplied by", low=0.0)
    precision: str = setting("fp32", "bf16: autocast; auto: bf16 where the processor has it",
                             choices=("fp32", "bf16", "auto"))
    validate_epochs: int = setting(2, "epochs between validations; the best epoch is kept", low=1)
    token_block: int = setting(5, "whose mean patch token the term `token` reads, 1-indexed", low=1)


@section
class Finetune:
    """CLIP-ReID stage 2 and the no-text baseline with the same code: one recipe, loss weights for each."""

    recipe: FinetuneRecipe = nested(FinetuneRecipe)
    baseline: BaselineWeights = nested(BaselineWeights)
    clip_reid: ClipReidWeights = nested(ClipReidWeights)


def _recipe(params: "Params") -> Complaints:
    recipe = params.finetune.recipe
    yield from ascending(params, "finetune.recipe.milestones", "epochs")
    yield from at_most(params, "prompts.warmup_epochs", "prompts.epochs")
    yield from at_most(params, "finetune.recipe.warmup_epochs", "finetune.recipe.epochs")
    if recipe.warmup_steps and (recipe.schedule != "multistep" or recipe.warmup_epochs):
        yield (f"finetune.recipe.warmup_steps: got {recipe.warmup_steps} with schedule {recipe.schedule!r} and "
               f"warmup_epochs {recipe.warmup_epochs}; allowed: multistep and 0 beside it, or warmup_steps=0")
    if recipe.sie != "none" and is_resnet(params):
        yield (f"finetune.recipe.sie: got {recipe.sie!r} with backbone.model {params.backbone.model!r}; allowed: none, "
               "since a ResNet has no [CLS]")


def _texts(params: "Params") -> Complaints:
    recipe, weights = params.finetune.recipe, params.finetune.clip_reid
    if weights.train:
        yield from needs_training(params, "prompts.train", "finetune.clip_reid.train is true")
        if weights.text and not (params.prompts.epochs or recipe.one_stage):
            yield ("prompts.epochs: got 0 while finetune.recipe.one_stage is false, so CLIP-ReID would learn from "
                   "random prompts; allowed: at least 1, or ablation=one_stage")
        if recipe.one_stage and (weights.i2tce or not weights.i2t):
            yield (f"finetune.clip_reid.i2tce: got {weights.i2tce} with i2t {weights.i2t}; allowed while "
                   "finetune.recipe.one_stage is true: i2tce 0 and i2t above 0, the contrast within the batch "
                   "(train=... ablation=one_stage sets all three)")
    for term in TEXT_TERMS:
        if weight := getattr(params.finetune.baseline, term):
            yield f"finetune.baseline.{term}: got {weight}; allowed: 0, the baseline has no text"


def _validation(params: "Params") -> Complaints:
    trains = params.finetune.baseline.train or params.finetune.clip_reid.train
    if trains and params.prepare.validation_share and "val" not in params.occlude.splits:
        yield (f"occlude.splits: got {params.occlude.splits} while models are trained; allowed: val among them, since "
               "their checkpoints are chosen on its OGor queries (or method=zero_shot)")


SECTIONS = {"prompts": Prompts, "finetune": Finetune}
RULES = (_recipe, _texts, _validation)
