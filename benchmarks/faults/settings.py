"""Settings, code and data that are changed by hand while a stage trains."""

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.case import Case, Ended, Outcome, python, running

LONG = ("profile=smoke", "prompts.epochs=400", "runtime.checkpoint_steps=20")


def _edit(name: str, before: str, after: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert before in text, name
        (folder / name).write_text(text.replace(before, after, 1))
    return change


def _grow(folder: Path) -> None:
    with (folder / "data/prepared/quarantine.parquet").open("ab") as file:
        file.write(b"\0")


def _changed_meanwhile(change: Callable[[Path], None]) -> Callable[[Path], Outcome]:
    """`dvc repro prompts` with a change half-way: not believed, by DVC either, until it has run again."""
    def run(folder: Path) -> Outcome:
        python(folder, "-m", "stages.compose", *LONG)
        locked = (folder / "dvc.lock").read_bytes()
        with ((folder / "said.txt").open("wb") as said,
              running(folder, "-m", "dvc", "repro", "-s", "prompts", stdout=said) as process):
            _wait_for_checkpoint(folder)
            change(folder)
            process.wait(300)
        text = (folder / "said.txt").read_text()
        ended = Ended(process.returncode, text, 0, 0, False)
        line = next((line for line in text.splitlines() if "changed while the stage ran" in line), ended.last_line)
        believed = (folder / "dvc.lock").read_bytes() != locked
        held = process.returncode != 0 and not believed and not ended.tracebacks and line != ended.last_line
        return Outcome(held, ("BELIEVED: " if believed else "not recorded: ") + line)
    return run


def _wait_for_checkpoint(folder: Path) -> None:
    deadline = time.monotonic() + 120
    while not list((folder / ".checkpoints").glob("prompts-*.pt")):
        if time.monotonic() > deadline:
            raise TimeoutError("no checkpoint within two minutes")
        time.sleep(0.05)


CASES = [
    Case("settings", "params.yaml edited while prompts train",
         _changed_meanwhile(_edit("params.yaml", "epochs: 400", "epochs: 401"))),
    Case("settings", "code edited while prompts train",
         _changed_meanwhile(_edit("reanchor/methods/clip_reid/prompts.py", '"""', '"""Edited. '))),
    Case("settings", "data changed while prompts train", _changed_meanwhile(_grow)),
]
