"""Settings of a model from elsewhere."""

from typing import TYPE_CHECKING

from reanchor.config.rules import Complaints
from reanchor.config.setting import section, setting

if TYPE_CHECKING:
    from reanchor.config.params import Params

NOTHING_IMPORTED = "conf/method/imported.yaml"  # DVC needs some file to watch where there is no checkpoint


@section
class Imported:
    """A model that was trained elsewhere, or in another study (method=imported). 0 and auto: what its file says."""

    path: str = setting(NOTHING_IMPORTED, "CLIP-ReID's checkpoint, or a model folder of this project; the default: "
                                          "none")
    height: int = setting(0, "of the images it was trained with (read off the file where they are 256x128 or 256x256); "
                             "another size resizes the position embeddings", low=0, high=1024)
    width: int = setting(0, "see height", low=0, high=1024)
    stride: int = setting(0, "of its patches: 16, or 12 where they overlap (read off the file)", low=0)
    sie_tokens: str = setting("auto", "what its camera embeddings are added to: cls (CLIP-ReID), all (TransReID), none "
                                      "to leave them out", choices=("auto", "cls", "all", "none"))
    sie_coefficient: float = setting(0.0, "what they are multiplied by; 0: the published 1 (cv_embed) or 3 (sie_embed)",
                                     low=0.0)
    cameras: int = setting(0, "the rows of its SIE table are cameras x views; 0: all of them cameras", low=0)
    views: int = setting(0, "see cameras", low=0)
    normalisation: str = setting("auto", "of pixels: half (.5, a ViT's), imagenet (a ResNet's) or clip",
                                 choices=("auto", "half", "imagenet", "clip"))
    interpolation: str = setting("bilinear", "of the resize at test time, which the data has to agree with",
                                 choices=("bilinear", "bicubic"))
    activation: str = setting("quick_gelu", "quick_gelu where the CLIP was OpenAI's", choices=("quick_gelu", "gelu"))
    head_width: int = setting(64, "channels of an attention head", low=1)


def _path(params: "Params") -> Complaints:
    path = params.imported.path
    if not path.strip():
        yield (f"imported.path: got {path!r}; allowed: a checkpoint, a model folder, or {NOTHING_IMPORTED} where "
               "nothing is imported")
    if path != NOTHING_IMPORTED and "imported" not in params.evaluate.methods:
        yield (f"imported.path: got {path!r}, but evaluate.methods has no 'imported', so nothing would read it; "
               "choose method=imported, or add 'imported' to evaluate.methods")


SECTIONS = {"imported": Imported}
RULES = (_path,)
