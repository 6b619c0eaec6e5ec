"""How methods of text-based person search are trained."""

from dataclasses import dataclass

from reanchor.config.sections.field import field

NO_BACK_TRANSLATIONS = "conf/captions_bt.json"  # an empty list: DVC needs some file to watch

TEXT_TERMS = ("itc", "nitc", "ritc", "citc", "ss", "sdm", "id", "mlm")  # a loss weight each


@dataclass
class TbpsTerms:
    """Loss weights and tricks of one method of the stage `tbps`; a weight of 0 leaves the term out."""

    train: bool = False  # false: no method needs it
    itc: float = field(0.0, low=0.0)  # CLIP's own contrast: one sentence belongs to one image
    nitc: float = field(0.0, low=0.0)  # against soft targets over all sentences of the identity
    ritc: float = field(0.0, low=0.0)  # the divergence taken the other way round
    citc: float = field(0.0, low=0.0)  # cyclic consistency
    ss: float = field(0.0, low=0.0)  # SimCLR on two further views
    sdm: float = field(0.0, low=0.0)  # IRRA's similarity distribution matching
    id: float = field(0.0, low=0.0)  # identity cross entropy of both features
    mlm: float = field(0.0, low=0.0)  # masked words, read with the image's help
    multi_view: bool = False  # a second view of the image joins N-ITC (MVS)
    soft_label: float = field(0.0, low=0.0, high=1.0)  # the model's own share of N-ITC's target, after epoch 1
    dropout: float = field(0.0, low=0.0, high=0.9)  # of attention in the text tower
    lock: bool = False  # the patch embedding stays as it is
    augment: str = field("flip", choices=("none", "flip", "pool"))  # pool: two draws of TBPS-CLIP's six
    clean: bool = False  # sentences without most punctuation, in training and at test time
    deletion: float = field(0.0, low=0.0, high=0.9)  # chance of each word to go
    back_translation: float = field(0.0, low=0.0, high=1.0)  # chance of a sentence to be replaced by its own
    mixgen: float = field(0.0, low=0.0, high=0.5)  # share of a batch mixed with other pairs


@dataclass
class TbpsRecipe:
    """How methods of two features are trained: TBPS-CLIP, plain CLIP, IRRA's loss."""

    seed: int = field(0, low=0)
    epochs: int = field(5, low=1)
    batch: int = field(80, low=2)  # pairs that are contrasted
    chunk: int = field(0, low=0)  # pairs encoded at a time (gradient caching); 0: the whole batch
    lr: float = field(1e-4, low=0.0)
    warmup_epochs: int = field(1, low=0)
    warmup_lr: float = field(1e-6, low=0.0)
    min_lr: float = field(5e-6, low=0.0)
    weight_decay: float = field(0.02, low=0.0)
    context: int = field(0, low=0, high=1024)  # slots of a sentence; 0: the backbone's
    few_shot: float = field(1.0, low=0.0001, high=1.0)  # share of the training data
    few_shot_of: str = field("pairs", choices=("pairs", "identities"))
    occluded: float = field(0.0, low=0.0, high=1.0)  # chance to see an image's OGor copy, where it has one
    precision: str = field("fp32", choices=("fp32", "bf16", "auto"))
    validate_epochs: int = field(1, low=1)
    temperature: float = field(0.02, low=1e-4)  # of sdm
    ss_temperature: float = field(0.1, low=1e-4)
    captions_bt: str = NO_BACK_TRANSLATIONS


@dataclass
class Tbps:
    """Text-based person search by two features: one recipe, losses and tricks for each method."""

    recipe: TbpsRecipe = field(TbpsRecipe())
    clip_tuned: TbpsTerms = field(TbpsTerms(itc=1.0))
    sdm: TbpsTerms = field(TbpsTerms(sdm=1.0))
    tbps_clip: TbpsTerms = field(TbpsTerms(
        nitc=1.0, ritc=1.0, citc=0.1, ss=0.4, multi_view=True, soft_label=0.5, dropout=0.05, lock=True, augment="pool",
        clean=True, deletion=0.05))
