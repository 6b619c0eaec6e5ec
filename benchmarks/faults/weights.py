"""Weight files that would run code, never end or fill memory, at every door that takes one."""

import functools
from pathlib import Path

from benchmarks.faults.case import TRACEBACK, Case, Ended, Outcome, python
from benchmarks.faults.hostile_weights import DOORSTEP, HOSTILE, make

SECONDS, MEGABYTES = 20, 2048
OUTPUTS = ("models/brought", "models/library")


def _backbone(folder: Path, source: str, path: Path) -> Ended:
    """The stage with `backbone.path=path`; the composition is no part of the measurement."""
    python(folder, "-m", "stages.compose", "profile=smoke", f"backbone={source}", f"backbone.path={path}")
    return python(folder, "-m", "stages.backbone", limit=SECONDS)


def _doors(folder: Path, path: Path) -> dict[str, Ended]:
    """What each door does with a file; only .safetensors files are ever shipped ones."""
    python(folder, "-c", "from PIL import Image; Image.new('RGB', (64, 64)).save('photo.png')")
    return {
        "file": _backbone(folder, "file", path),
        "shipped": _backbone(folder, "shipped", path),
        "import": python(folder, "-m", "reanchor", "import", str(path), "--out", OUTPUTS[0], limit=SECONDS),
        "detector": python(folder, "-m", "reanchor", "cutouts", ".", OUTPUTS[1], "--detector", str(path),
                           limit=SECONDS),
    }


def _faults(folder: Path, ended: Ended) -> list[str]:
    """What went wrong at one door."""
    lines = [line for line in ended.output.splitlines() if "no readable checkpoint" in line or path_named(line)]
    return [word for word, wrong in (
        ("traceback", TRACEBACK in ended.output), ("no limit kept", ended.timed_out), ("exit 0", ended.status == 0),
        ("killed", ended.status < 0), (f"{ended.peak_mb} MB", ended.peak_mb > MEGABYTES), ("no line", not lines),
        ("its code ran", (folder / DOORSTEP).exists()),
        ("left something", any((folder / name).exists() for name in OUTPUTS)),
    ) if wrong]


def path_named(line: str) -> bool:
    """Whether a line of an error names one of the files."""
    return any(name in line for name in HOSTILE)


def _refused(name: str, folder: Path) -> Outcome:
    """One file at every door."""
    doors = _doors(folder, make(name, folder))
    faults = [f"{door}: {', '.join(found)}" for door, ended in doors.items() if (found := _faults(folder, ended))]
    slowest = max(ended.seconds for ended in doors.values())
    largest = max(ended.peak_mb for ended in doors.values())
    said = "; ".join(faults) or f"{len(doors)} doors refuse"
    return Outcome(not faults, f"{said}; at most {slowest:.1f} s, {largest} MB: {doors['file'].last_line}")


CASES = [Case("weights", name, functools.partial(_refused, name)) for name in HOSTILE]
