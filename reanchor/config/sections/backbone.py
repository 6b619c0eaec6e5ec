"""Which CLIP."""

from reanchor.config.setting import nested, section, setting


@section
class Pretrain:
    """The small CLIP made here, and the recipe that makes it (source pretrain, and the shipped weights)."""

    seed: int = setting(0, "of weights, people and batches", low=0)
    identities: int = setting(3000, "people that occur in no later split", low=8)
    images: int = setting(8, "per identity", low=2)
    cameras: int = setting(40, "random cameras; the study's six are not among them", low=2)
    vision_width: int = setting(128, "channels of the image tower", low=16)
    vision_layers: int = setting(6, "its blocks", low=2)
    heads: int = setting(4, "attention heads of each tower", low=1)
    patch: int = setting(8, "pixels; 12 x 6 patch tokens at 96 x 48", low=2)
    text_width: int = setting(128, "channels of the text tower", low=16)
    text_layers: int = setting(3, "its blocks", low=1)
    context: int = setting(40, "text tokens: what captions and prompts need", low=8, high=77)
    embed: int = setting(128, "channels of the joint space", low=8)
    steps: int = setting(850, "of the optimiser", low=1)
    batch: int = setting(192, "image-caption pairs a step", low=2)
    lr: float = setting(1e-3, "of AdamW; small models bear far more than the published 5e-6", low=0.0)
    weight_decay: float = setting(0.05, "of AdamW", low=0.0)
    patch_dropout: float = setting(0.5, "share of patches left out: speed, and robust [CLS]", low=0.0, high=0.9)
    token_weight: float = setting(0.5, "of the contrast on pooled patch tokens, which makes tokens carry identity",
                                  low=0.0)
    token_block: int = setting(5, "the block whose tokens it reads, 1-indexed", low=1)


@section
class Backbone:
    """The CLIP that every method starts from."""

    source: str = setting("shipped", "this repository's small CLIP, as it comes or made anew; open_clip's hub; a file "
                                     "of yours", choices=("shipped", "pretrain", "open_clip", "file"))
    model: str = setting("ViT-B-16-quickgelu", "open_clip's name; read for open_clip, and for file when not OpenAI's")
    tag: str = setting("openai", "open_clip's name of the weights; read for open_clip")
    path: str = setting("models/shipped/streetfolk.safetensors", "the weight file; read for shipped and file")
    stride: int = setting(0, "of the patch grid in pixels; 0: the patch size; less: overlapping patches", low=0)
    normalisation: str = setting("half", "of pixels, for open_clip and file: half (.5, as CLIP-ReID's ViT), imagenet "
                                         "(its CNN) or clip", choices=("half", "imagenet", "clip"))
    pretrain: Pretrain = nested(Pretrain)
