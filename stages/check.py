"""Read params.yaml and look for the files it names, before anything runs.

    python -m stages.check

`dvc repro` meets the same mistakes later, stage by stage, and names a missing file without its setting.
"""

import sys
from pathlib import Path

from reanchor.config.checks import STREETFOLK_ROOT
from reanchor.config.load import load
from reanchor.config.params import Params
from reanchor.config.sections.models import NOTHING_IMPORTED
from reanchor.config.sections.text import NO_BACK_TRANSLATIONS
from reanchor.errors import ReanchorError


def check_inputs(params: Params, root: Path) -> None:
    """Raise ReanchorError for the first input of the user's that does not exist or cannot be used so."""
    from reanchor.data.listing import require_folder  # not for whoever only imports this module

    check_dataset(params)
    rendered = params.render.enabled and params.prepare.root == STREETFOLK_ROOT
    if not rendered and not (root / params.prepare.root).exists():
        raise ReanchorError(f"params.yaml: prepare.root: got {params.prepare.root!r}, which does not exist; "
                            "allowed: the dataset's folder; name it (make run SET=\"prepare.root=...\") or "
                            "use dataset=streetfolk")
    if not rendered:
        require_folder(root / params.prepare.root)
    backbone = params.backbone
    if backbone.source in ("shipped", "file") and not (root / backbone.path).is_file():
        raise ReanchorError(f"params.yaml: backbone.path: got {backbone.path!r}, which is no file; allowed: "
                            "a weight file (.pt, .bin, .safetensors), or backbone=streetfolk_pretrain")
    imported, wanted = params.imported.path, "imported" in params.evaluate.methods
    if wanted and (imported == NOTHING_IMPORTED or not (root / imported).exists()):
        raise ReanchorError(f"params.yaml: imported.path: got {imported!r}, which is no model; allowed: a checkpoint "
                            "of CLIP-ReID, or a model folder of this project (make run SET=\"method=imported "
                            "imported.path=...\")")
    back = params.tbps.captions_bt
    if back != NO_BACK_TRANSLATIONS and not (root / back).is_file():
        raise ReanchorError(f"params.yaml: tbps.captions_bt: got {back!r}, which is no file; allowed: a JSON list of "
                            f"back translations, or {NO_BACK_TRANSLATIONS}, which holds none")
    library = params.occlude.library
    if library != "drawn" and not (root / library).is_dir():
        raise ReanchorError(f"params.yaml: occlude.library: got {library!r}, which is no folder; allowed: "
                            "'drawn' or a folder of CLASSn.png cut-outs")


def check_dataset(params: Params) -> None:
    """Raise ReanchorError where the dataset's card forbids what the settings ask for."""
    from reanchor.data.catalogue import DATASETS, require_usable_card  # as above

    card = DATASETS[params.prepare.card]
    require_usable_card(card, params.prepare.reader, params.prepare.acknowledge_withdrawn)
    finetune = params.finetune
    asked = {"prompts": params.prompts, "finetune.baseline": finetune.baseline,
             "finetune.clip_reid": finetune.clip_reid, "saga": params.saga, "gate": params.gate}
    trained = [f"{name}.train" for name, section in asked.items() if section.train]
    if card.test_only and trained:
        raise ReanchorError(f"params.yaml: {trained[0]}: got true, but {card.title} (prepare.card {card.name!r}) has "
                            f"no training split; allowed: false for {', '.join(trained)} (compose with "
                            "method=zero_shot), or another dataset to train on")


def main() -> int:
    """Check the current folder's settings; 0 when they can be run, 2 after a message."""
    try:
        check_inputs(load("params.yaml"), Path.cwd())
    except ReanchorError as error:
        print(f"check: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
