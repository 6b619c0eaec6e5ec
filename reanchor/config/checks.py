"""Rules that bind several settings; each names both keys, both values and the remedy."""

from pathlib import PurePosixPath

from reanchor.config.methods import rules
from reanchor.config.params import Params
from reanchor.config.rules import Complaints, at_most, each_once, value_of
from reanchor.config.towers import is_resnet
from reanchor.errors import ReanchorError
from reanchor.methods.method import IMAGE, SENTENCE
from reanchor.methods.registry import global_pooling, judged, trained

STREETFOLK_ROOT = "data/streetfolk"


def check_together(params: Params, source: str) -> None:
    """Raise ReanchorError for the first rule that `params` breaks."""
    for rule in (_prepare, _occlude, _nothing_held_out, _pretrain, _backbone, *rules(), _judged):
        for complaint in rule(params):
            raise ReanchorError(f"{source}: {complaint}")


def _prepare(params: Params) -> Complaints:
    prepare = params.prepare
    if not prepare.root.strip():
        yield f"prepare.root: got {prepare.root!r}; allowed: the dataset's folder"
    table = PurePosixPath(prepare.table.strip())
    if not table.name or table.is_absolute() or ".." in table.parts:
        yield (f"prepare.table: got {prepare.table!r}; allowed: the name of a CSV file in prepare.root, such as "
               "dataset.csv")
    if not params.render.enabled and prepare.root == STREETFOLK_ROOT:
        yield (f"prepare.root: got {prepare.root!r} while render.enabled is false, so nothing fills that "
               "folder; set render.enabled=true or name your own dataset's folder")


def _occlude(params: Params) -> Complaints:
    occlude = params.occlude
    yield from at_most(params, "occlude.ratio_low", "occlude.ratio_high")
    for name in ("masking_ratios", "people_ratios", "mixed_ratios"):
        ratios = getattr(occlude, name)
        if len({round(ratio, 2) for ratio in ratios}) < len(ratios):
            yield f"occlude.{name}: got {ratios}; allowed: ratios that differ in their first two decimals"
    for name in ("masking_shapes", "masking_positions", "people_from", "people_layers", "people_edges", "mixed_with"):
        yield from each_once(params, f"occlude.{name}", "at least one value, each once, the plain one first")
    if occlude.sides != "query" and not occlude.gallery_share:
        yield (f"occlude.gallery_share: got 0 with occlude.sides {occlude.sides!r}; allowed: above 0, the share of the "
               "gallery that is occluded")


def _nothing_held_out(params: Params) -> Complaints:
    for method in trained().values():
        if method.held_out and value_of(params, method.switch) and not params.prepare.validation_share:
            yield (f"prepare.validation_share: got 0 with {method.switch} true; allowed: above 0, since it is chosen "
                   f"on held-out identities, or method={global_pooling()}, which then keeps the last epoch")


def _pretrain(params: Params) -> Complaints:
    recipe = params.backbone.pretrain
    for name in ("vision_width", "text_width"):
        width = getattr(recipe, name)
        if width % recipe.heads:
            yield (f"backbone.pretrain.{name}: got {width}; allowed: a multiple of backbone.pretrain.heads, "
                   f"which is {recipe.heads}")
    if recipe.token_block > recipe.vision_layers:
        yield (f"backbone.pretrain.token_block: got {recipe.token_block}; allowed: 1 to "
               f"backbone.pretrain.vision_layers, which is {recipe.vision_layers}")


def _backbone(params: Params) -> Complaints:
    backbone = params.backbone
    if backbone.source in ("shipped", "file") and not backbone.path.strip():
        yield (f"backbone.path: got {backbone.path!r}; allowed: a weight file, as backbone.source is "
               f"{backbone.source!r}")
    if backbone.source == "open_clip" and not (backbone.model.strip() and backbone.tag.strip()):
        yield (f"backbone.model: got {backbone.model!r}, backbone.tag: got {backbone.tag!r}; allowed: "
               "both names of a pre-trained open_clip model, as listed by open_clip.list_pretrained()")
    if backbone.stride and is_resnet(params):
        yield (f"backbone.stride: got {backbone.stride} with backbone.model {backbone.model!r}; allowed: 0, "
               "since a ResNet has no patches")


def _judged(params: Params) -> Complaints:
    for section, query in (("evaluate", IMAGE), ("search", SENTENCE)):
        key, known = f"{section}.methods", judged(query)
        yield from each_once(params, key, "at least one method, each once")
        for name in value_of(params, key):
            if known[name].switch and not value_of(params, known[name].switch):
                yield (f"{key}: got {name!r} although its training is switched off; allowed: methods whose `train` "
                       f"is true ({known[name].switch}=true, or another option of the group method)")
