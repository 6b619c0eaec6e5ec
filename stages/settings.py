"""Write what follows from the schema of settings: conf/schema.yaml and docs/reference/settings.md.

    python -m stages.settings           # after a setting has changed
    python -m stages.settings --check   # 1 where a file is out of date
    python -m stages.settings --json    # print a JSON schema of params.yaml, for editors
"""

import argparse
import dataclasses
import functools
import inspect
import json
import re
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from pydantic import TypeAdapter

from reanchor.config.params import Params
from reanchor.config.setting import Setting, settings_of
from reanchor.files import atomic_path

DEFAULTS, REFERENCE = "conf/schema.yaml", "docs/reference/settings.md"
HEADER = """\
# Written by `python -m stages.settings` from the schema (reanchor/config, reanchor/methods/*/settings.py): do not edit.
# The default of every setting; docs/reference/settings.md says what each means, and an option of a group what differs.
"""
INTRODUCTION = """\
# Settings

Written by `python -m stages.settings` from the schema (`reanchor/config`, `reanchor/methods/*/settings.py`): do not
edit. `python -m stages.compose group=option section.key=value` writes params.yaml; an option of a group (`conf/`) sets
several settings at once. What binds several settings is checked before anything runs.
"""
_TYPES = {bool: "true or false", int: "whole number", float: "number", str: "text"}


def files() -> dict[str, str]:
    """The text of each file that follows from the schema."""
    return {DEFAULTS: defaults_text(), REFERENCE: INTRODUCTION + _linked("".join(_tables("", Params)))}


@functools.cache
def defaults_text() -> str:
    """The text of conf/schema.yaml, which every composition begins with."""
    return HEADER + OmegaConf.to_yaml(OmegaConf.create(dataclasses.asdict(Params())))


def stale(root: Path) -> list[str]:
    """Which of the files under `root` are not what the schema says."""
    return [name for name, text in files().items() if not (root / name).is_file() or (root / name).read_text() != text]


def _linked(text: str) -> str:
    """Pages of docs/ that meanings name, as links from the settings page."""
    return re.sub(r"\bdocs/([\w/-]+)/(\w+)\.md", r"[\2](../\1/\2.md)", text)


def _tables(prefix: str, kind: type) -> Iterator[str]:
    """The section's own table, then those of the sections within."""
    own = {name: each for name, each in settings_of(kind).items() if not settings_of(each.kind)}
    if own:
        yield f"\n## {prefix}\n\n{' '.join((inspect.getdoc(kind) or '').split())}\n\n"
        yield "| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n"
        yield from (_row(name, each) for name, each in own.items())
    for name, each in settings_of(kind).items():
        if name not in own:
            yield from _tables(f"{prefix}.{name}" if prefix else name, each.kind)


def _row(name: str, each: Setting) -> str:
    (element,) = typing.get_args(each.kind) or (each.kind,)
    kind = f"list of {_TYPES[element]}" if typing.get_origin(each.kind) is list else _TYPES[element]
    default = each.default() if callable(each.default) else each.default
    return f"| `{name}` | {kind} | `{_shown(default)}` | {_allowed(each)} | {each.meaning} |\n"


def _shown(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, str) else value or '""'


def _allowed(each: Setting) -> str:
    if each.choices:
        return ", ".join(each.choices)
    return f"{'' if each.low is None else each.low} … {'' if each.high is None else each.high}" \
        if (each.low, each.high) != (None, None) else ""


def main(arguments: list[str] | None = None) -> int:
    """Write the files in the current folder, or say whether they are up to date."""
    parser = argparse.ArgumentParser(prog="python -m stages.settings", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where a file is out of date")
    parser.add_argument("--json", action="store_true", help="print a JSON schema of params.yaml")
    given = parser.parse_args(arguments)
    if given.json:
        print(json.dumps(TypeAdapter(Params).json_schema(), indent=2))
        return 0
    old = stale(Path.cwd())
    for name in () if given.check else old:
        with atomic_path(Path(name)) as temporary:
            temporary.write_text(files()[name])
    state = "out of date" if given.check else "written"
    print("\n".join(f"{name} {state if name in old else 'is up to date'}" for name in files()))
    return int(given.check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
