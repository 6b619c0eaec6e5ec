"""Checkpoints as CLIP-ReID's authors name them, made from the golden numbers and from small random models."""

from pathlib import Path

import torch
from golden_files import golden, tiny_clip, tiny_resnet_clip
from torch import Generator, Tensor

from reanchor.methods.clip_reid.model import ReidModel

TINY = {"height": 64, "width": 32}  # of the golden model's images


def golden_checkpoint() -> dict[str, Tensor]:
    """The authors' stage-2 model that the golden features were computed with: 7 identities, 4 cameras."""
    want, clip = golden("B_model_stage2"), golden("A_tinyclip_state")
    state = {name.replace("visual.", "image_encoder.", 1): value for name, value in clip.items()
             if name.startswith("visual.")}
    state["image_encoder.positional_embedding"] = golden("A_vit_outputs")["s16_pos_resized"]
    texts = ("transformer.", "ln_final.", "positional_embedding", "text_projection")
    state |= {f"text_encoder.{name}": value for name, value in clip.items() if name.startswith(texts)}
    state |= {"classifier.weight": want["classifier_w"], "classifier_proj.weight": want["classifier_proj_w"],
              "cv_embed": want["cv_embed"], "prompt_learner.cls_ctx": want["cls_ctx"],
              "prompt_learner.token_prefix": torch.zeros(1, 5, 64),
              "prompt_learner.token_suffix": torch.ones(1, 68, 64)}
    state |= neck("bottleneck", want["bn_w"], want["bn_b"], want["bn_rm0"], want["bn_rv0"])
    return state | neck("bottleneck_proj", want["bnp_w"], torch.zeros(32), want["bnp_rm0"], want["bnp_rv0"])


def neck(name: str, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> dict[str, Tensor]:
    return {f"{name}.weight": weight, f"{name}.bias": bias, f"{name}.running_mean": mean,
            f"{name}.running_var": variance, f"{name}.num_batches_tracked": torch.tensor(3)}


def resnet_checkpoint(size: tuple[int, int] = (256, 128)) -> dict[str, Tensor]:
    """A small ResNet of `size` with 5 identities and necks off their start."""
    model = ReidModel(tiny_resnet_clip(size).image_encoder(), identities=5)
    model.initialise(Generator().manual_seed(1))
    state = {f"image_encoder.{name}": value for name, value in model.encoder.visual.state_dict().items()}
    state |= {"classifier.weight": model.classifier.weight.data,
              "classifier_proj.weight": model.classifier_projected.weight.data}
    for name, width in (("bottleneck", model.encoder.width), ("bottleneck_proj", model.encoder.embed)):
        draw = torch.rand(2, width, generator=Generator().manual_seed(2)) + 0.5
        state |= neck(name, draw[0], torch.zeros(width), draw[1] - 1, draw[1])
    return state


def vit_checkpoint(size: tuple[int, int], stride: int = 0) -> dict[str, Tensor]:
    """The golden model without SIE, its position embeddings made for `size` and `stride`."""
    state = golden_checkpoint()
    del state["cv_embed"]
    encoder = tiny_clip(size, stride).image_encoder()
    return state | {"image_encoder.positional_embedding": encoder.visual.positional_embedding.data}


def write(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path
