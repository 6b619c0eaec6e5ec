"""Settings of MGCC."""

from typing import TYPE_CHECKING

from reanchor.config.rules import Complaints, ascending, at_most, each_once, needs_patches
from reanchor.config.setting import nested, section, setting

if TYPE_CHECKING:
    from reanchor.config.params import Params

GRANULARITIES = ("image_text", "patch_word", "patch_text", "image_word")


@section
class MgccModel:
    """What its similarity is made of; text_map apart, the defaults are the paper's."""

    patch_share: float = setting(0.3, "rho_i, of the patch tokens that take part; 1: all", low=0.001, high=1.0)
    word_share: float = setting(0.4, "rho_t, of word_limit", low=0.001, high=1.0)
    word_limit: int = setting(25, "m: words that can be selected, the sentence's first", low=1, high=1024)
    temperature: float = setting(0.01, "tau of the attention-based fusion", low=1e-4)
    fusion: str = setting("attention", "or two steps, the first over a matrix",
                          choices=("attention", "mean_mean", "mean_max", "max_mean", "max_max"))
    granularities: list[str] = setting([*GRANULARITIES], "similarities that are averaged", choices=GRANULARITIES)
    context: int = setting(0, "slots of a sentence; 0: the backbone's", low=0, high=1024)
    text_map: str = setting("clip", "text to image width: starts at the backbone's own projections, or random",
                            choices=("random", "clip"))
    patch_norm: bool = setting(True, "false: patch tokens without the norm that [CLS] passes (authors' code)")
    mask_padding: bool = setting(True, "false: missing words take part as zero vectors (authors' code)")
    rank_all_words: bool = setting(False, "true: words beyond word_limit can be selected too (authors' code)")
    word_offset: int = setting(0, "1: the word behind the one that was attended to (authors' code)", low=0, high=1)
    matrices: bool = setting(False, "true: learnable square matrices in every similarity (authors' code)")


@section
class Mgcc:
    """MGCC (Wu et al., AAAI 2024) on the backbone's two towers (docs/explanation/mgcc.md)."""

    train: bool = setting(True, "false: no method needs it")
    seed: int = setting(0, "of weights, batches and augmentation", low=0)
    epochs: int = setting(2, "each pair once an epoch", low=1)
    batch: int = setting(128, "pairs of an image and a sentence", low=2)
    lr: float = setting(1e-3, "of Adam, of the towers", low=0.0)
    lr_rest: float = setting(1e-3, "of what MGCC adds, and of CLIP's scale", low=0.0)
    schedule: str = setting("cosine", "multistep: the authors' code", choices=("cosine", "multistep"))
    milestones: list[int] = setting([20, 40], "epochs of multistep's x 0.1", low=1)
    warmup_epochs: int = setting(0, "of the linear warm-up", low=0)
    reduction: str = setting("sum", "of the loss's two directions; mean: the authors' code", choices=("sum", "mean"))
    same_pid: str = setting("negative", "other pairs of one person in a batch; left_out: not contrasted",
                            choices=("negative", "left_out"))
    flip: float = setting(0.5, "chance of a mirrored image", low=0.0, high=1.0)
    occluded: float = setting(1.0, "chance to see an image's OGor copy, where it has one", low=0.0, high=1.0)
    precision: str = setting("fp32", "bf16: autocast; auto: bf16 where the processor has it",
                             choices=("fp32", "bf16", "auto"))
    validate_epochs: int = setting(1, "epochs between validations; the best epoch is kept", low=1)
    model: MgccModel = nested(MgccModel)


def _training(params: "Params") -> Complaints:
    yield from needs_patches(params, "mgcc.train")
    yield from at_most(params, "mgcc.warmup_epochs", "mgcc.epochs")
    yield from ascending(params, "mgcc.milestones", "epochs")


def _model(params: "Params") -> Complaints:
    model, plain = params.mgcc.model, MgccModel()
    if model.context in (1, 2):
        yield f"mgcc.model.context: got {model.context}; allowed: 0 (the backbone's), or at least 3"
    if model.fusion != "attention" and model.temperature != plain.temperature:
        yield (f"mgcc.model.temperature: got {model.temperature} with mgcc.model.fusion {model.fusion!r}; allowed: "
               f"{plain.temperature}, the default, since only the fusion attention reads it")
    yield from each_once(params, "mgcc.model.granularities",
                         f"at least one of {', '.join(GRANULARITIES[:-1])} and {GRANULARITIES[-1]}, each once")
    if model.matrices and model.fusion != "attention":
        yield (f"mgcc.model.matrices: got true with mgcc.model.fusion {model.fusion!r}; allowed: false, or the fusion "
               "attention, whose weights they act on")


SECTIONS = {"mgcc": Mgcc}
RULES = (_training, _model)
