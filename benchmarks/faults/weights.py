"""Weight files that would run code, never end or fill memory, at every door that takes one."""

import functools
from pathlib import Path

from PIL import Image

from benchmarks.faults.case import TRACEBACK, Case, Ended, Outcome, python
from benchmarks.faults.hostile_weights import DOORSTEP, HOSTILE, make

SECONDS, MEGABYTES = 20, 2048  # of processor time, which a busy machine does not stretch; at the peak
WAIT = 300  # seconds of a clock, for what sleeps
OUTPUTS = ("models/brought", "models/library")


def _limited(folder: Path, module: str, *arguments: str) -> Ended:
    """`python -m module arguments`, ended by the system after `SECONDS` of processor time."""
    script = (f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_CPU, ({SECONDS}, {SECONDS})); "
              f"sys.argv[1:] = {list(arguments)}; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)")
    return python(folder, "-c", script, limit=WAIT)


def _backbone(folder: Path, source: str, path: Path) -> Ended:
    """The stage with `backbone.path=path`; the composition is no part of the measurement."""
    python(folder, "-m", "stages.compose", "profile=smoke", f"backbone.source={source}", f"backbone.path={path}")
    return _limited(folder, "stages.backbone")


def _doors(folder: Path, path: Path) -> dict[str, Ended]:
    """What each door does with a file."""
    Image.new("RGB", (64, 64)).save(folder / "photo.png")
    return {
        "file": _backbone(folder, "file", path),
        "shipped": _backbone(folder, "shipped", path),
        "import": _limited(folder, "reanchor", "import", str(path), "--out", OUTPUTS[0]),
        "detector": _limited(folder, "reanchor", "cutouts", ".", OUTPUTS[1], "--detector", str(path)),
    }


def _faults(folder: Path, ended: Ended) -> list[str]:
    """What went wrong at one door."""
    return [word for word, wrong in (
        ("traceback", TRACEBACK in ended.output), ("no limit kept", ended.timed_out), ("exit 0", ended.status == 0),
        ("killed", ended.status < 0), (f"{ended.peak_mb} MB", ended.peak_mb > MEGABYTES),
        ("does not name the file", not any(name in ended.last_line for name in HOSTILE)),
        ("its code ran", (folder / DOORSTEP).exists()),
        ("left something", any((folder / name).exists() for name in OUTPUTS)),
    ) if wrong]


def _refused(name: str, folder: Path) -> Outcome:
    """One file at every door."""
    doors = _doors(folder, make(name, folder))
    faults = [f"{door}: {', '.join(found)}" for door, ended in doors.items() if (found := _faults(folder, ended))]
    slowest = max(ended.seconds for ended in doors.values())
    largest = max(ended.peak_mb for ended in doors.values())
    said = "; ".join(faults) or f"{len(doors)} doors refuse"
    return Outcome(not faults, f"{said}; at most {slowest:.1f} s, {largest} MB: {doors['file'].last_line}")


CASES = [Case("weights", name, functools.partial(_refused, name)) for name in HOSTILE]
