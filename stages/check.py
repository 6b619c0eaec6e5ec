"""Read params.yaml and look for the files it names, before anything runs.

    python -m stages.check

`dvc repro` meets the same mistakes later, stage by stage, and names a missing file without its setting.
"""

import sys
from pathlib import Path

from reanchor.config.checks import STREETFOLK_ROOT
from reanchor.config.load import load
from reanchor.config.params import Params
from reanchor.config.rules import value_of
from reanchor.errors import ReanchorError
from reanchor.methods.method import SENTENCE, code
from reanchor.methods.registry import trained, untrained


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
    for method in trained().values():
        if method.check:
            code(method.check)(params, root)
    library = params.occlude.library
    if library != "drawn" and not (root / library).is_dir():
        raise ReanchorError(f"params.yaml: occlude.library: got {library!r}, which is no folder; allowed: "
                            "'drawn' or a folder of CLASSn.png cut-outs")


def check_dataset(params: Params) -> None:
    """Raise ReanchorError where the dataset's card forbids what the settings ask for."""
    from reanchor.data.catalogue import DATASETS, require_usable_card  # as above

    card = DATASETS[params.prepare.card]
    require_usable_card(card, params.prepare.reader, params.prepare.acknowledge_withdrawn)
    asked = [method.switch for method in trained().values()
             if method.switch and SENTENCE not in method.queries and value_of(params, method.switch)]
    if card.test_only and asked:
        raise ReanchorError(f"params.yaml: {asked[0]}: got true, but {card.title} (prepare.card {card.name!r}) has "
                            f"no training split; allowed: false for {', '.join(asked)} (compose with "
                            f"method={untrained()}), or another dataset to train on")


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
