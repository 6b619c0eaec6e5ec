"""Compose conf/ into params.yaml, resolved values only.

    python -m stages.compose                                   # the default study
    python -m stages.compose profile=smoke                     # another option of a group
    python -m stages.compose dataset=market1501 prepare.root=/data/market1501 finetune.recipe.epochs=20

DVC composes in the same way (and writes the same bytes) for `dvc exp run -S dataset=market1501`.
"""

import argparse
import difflib
import sys
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reanchor.config.load import flatten, from_mapping
from reanchor.config.params import Params
from reanchor.errors import ReanchorError
from reanchor.files import atomic_path
from stages.settings import DEFAULTS, defaults_text
from stages.settings_lock import settings_lock, unread_settings


def composition(root: Path, overrides: list[str]) -> str:
    """The YAML text of `root`/conf composed with Hydra `overrides`, checked against the schema.

    Raises:
        ReanchorError: an override names no group, option or key, a value is not allowed, or the file of defaults is
            not the schema's.
    """
    defaults = root / DEFAULTS
    if defaults.is_file() and defaults.read_text() != defaults_text():
        raise ReanchorError(f"{DEFAULTS}: not what the schema of settings says; write it with `python -m "
                            "stages.settings`")
    try:
        with initialize_config_dir(str((root / "conf").resolve()), version_base=None):
            settings = compose(config_name="config", overrides=overrides)
        OmegaConf.resolve(settings)
    except (HydraException, OmegaConfBaseException) as error:
        raise ReanchorError(_explain(error, overrides)) from error
    from_mapping(OmegaConf.to_container(settings), source="conf")
    return OmegaConf.to_yaml(settings)


def write_settings(root: Path, overrides: list[str]) -> bool:
    """Compose `root`/params.yaml; False when it already was so.

    Raises:
        ReanchorError: as in `composition`.
        SettingsHeld: it would change while another process works on it.
    """
    text = composition(root, overrides)
    target = root / "params.yaml"
    if target.is_file() and target.read_text() == text:
        return False
    with settings_lock(root), unread_settings(root), atomic_path(target) as temporary:
        temporary.write_text(text)
    return True


def main(arguments: list[str] | None = None) -> int:
    """Write params.yaml in the current folder; 0 on success, 2 after a message."""
    parser = argparse.ArgumentParser(prog="python -m stages.compose", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="group=option or section.key=value")
    overrides = parser.parse_args(arguments).overrides
    try:
        changed = write_settings(Path.cwd(), overrides)
    except ReanchorError as error:
        print(f"compose: {error}", file=sys.stderr)
        return 2
    print(f"params.yaml {'written' if changed else 'unchanged'} ({' '.join(overrides) or 'defaults'})")
    return 0


def _explain(error: Exception, overrides: list[str]) -> str:
    """One line for Hydra's several: which override, what is wrong with it, what is allowed."""
    known = list(flatten(Params()))
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if f"Could not override '{key}'" in str(error):
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            return f"conf: {override}: unknown key {key!r}; {hint}allowed: the keys of params.yaml"
    text = " ".join(str(error).partition("Config search path")[0].split())
    return f"conf: cannot compose with {' '.join(overrides)!r}: {text}"


if __name__ == "__main__":
    sys.exit(main())
