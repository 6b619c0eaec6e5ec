"""Trainings that are killed, stopped, or find their checkpoints damaged or the disk full."""

import contextlib
import functools
import io
import random
import resource
import shutil
import signal
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.faults.case import TRACEBACK, Case, Outcome, digest, python, running, went_on
from benchmarks.faults.small_disk import resize, small_disk
from benchmarks.kill import STAGES, begin_anew, break_often, finish
from reanchor.errors import ReanchorError
from reanchor.training import checkpoint

SETTINGS = ("profile=smoke", "prompts.epochs=200", "runtime.checkpoint_steps=5")
PROMPTS = STAGES["prompts"][1]
BREAKS = 3


def broken_off(folder: Path, name: str, number: signal.Signals) -> Outcome:
    """A stage ended by signals at random moments, then run to its end."""
    module, weights = STAGES[name]
    finish(folder, "stages.compose", *SETTINGS)
    if name != "prompts":
        finish(folder, "stages.train", "prompts")
    seconds = finish(folder, *module)
    whole = digest(folder / weights)
    begin_anew(folder, weights)
    broken = break_often(folder, name, seconds, BREAKS, random.Random(name), number)
    for each in broken:  # Python starts for a while, in which a signal ends it as any program
        told = number == signal.SIGTERM and "started" in each.said
        if TRACEBACK in each.said or (told and (each.status != 128 + number or "stopped by" not in each.said)):
            return Outcome(False, f"exit {each.status} at {each.share:.0%}: {each.said}")
    outcome = went_on(python(folder, "-m", *module), whole, digest(folder / weights))
    shares = " ".join(f"{each.share:.0%}" for each in broken)
    return Outcome(outcome.held, f"{number.name} at {shares}; {outcome.said}")


@dataclass(frozen=True)
class Killed:
    """A real checkpoint of `prompts`, in two generations."""

    path: Path
    newest: bytes
    before: bytes

    @property
    def mark(self) -> str:
        return self.path.stem.partition("-")[2]

    def put(self, folder: Path, newest: bytes, before: bytes | None) -> Path:
        """Both generations below `folder`, as if this process had been killed there."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        path = folder / self.path.name
        path.write_bytes(newest)
        if before is not None:
            checkpoint.earlier(path).write_bytes(before)
        return path


def kill_half_way(folder: Path) -> Killed:
    """Kill `prompts` as soon as there are two generations."""
    pattern = "prompts-*.pt.previous"
    with running(folder, "-m", "stages.train", "prompts") as process:
        while process.poll() is None and not list((folder / ".checkpoints").glob(pattern)):
            time.sleep(0.01)
    (before,) = (folder / ".checkpoints").glob(pattern)
    newest = before.with_suffix("")
    return Killed(newest, newest.read_bytes(), before.read_bytes())


def regions(path: Path) -> dict[str, tuple[int, int]]:
    """Where each part of a checkpoint lies: header and content of every record, directory, digest."""
    found, size = {}, path.stat().st_size
    with zipfile.ZipFile(path) as archive, open(path, "rb") as stream:
        for record in archive.infolist():
            stream.seek(record.header_offset + 26)
            lengths = int.from_bytes(stream.read(2), "little") + int.from_bytes(stream.read(2), "little")
            begin = record.header_offset + 30 + lengths
            found[f"header of {record.filename}"] = (record.header_offset, begin)
            if record.file_size:
                found[record.filename] = (begin, begin + record.file_size)
        found["directory"] = (archive.start_dir, size - checkpoint.DIGEST_BYTES)
    return found | {"digest": (size - checkpoint.DIGEST_BYTES, size)}


def flip(content: bytes, begin: int, end: int, rng: random.Random) -> bytes:
    """`content` with one bit changed between two places."""
    place = rng.randrange(begin, end)
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1:]


def every_region(folder: Path) -> Outcome:
    """One bit in each part of a real checkpoint, before a whole generation and before none."""
    finish(folder, "stages.compose", *SETTINGS)
    killed, rng, scratch, wrong = kill_half_way(folder), random.Random(0), folder / "scratch", []
    parts = regions(killed.put(scratch, killed.newest, None))
    steps = checkpoint.load(killed.put(scratch, killed.before, None), killed.mark)["state"]["steps"]
    for name, place in parts.items():
        for before in (killed.before, None):
            path = killed.put(scratch, flip(killed.newest, *place, rng), before)
            with contextlib.redirect_stderr(io.StringIO()) as said:
                found = checkpoint.load(path, killed.mark)
            used = None if found is None else found["state"]["steps"]
            named = said.getvalue().count("\n") == 1 and said.getvalue().startswith(f"{path}: ")
            if used != (steps if before else None) or not named or not path.with_name(f"{path.name}.damaged").exists():
                wrong.append(name)
    words = f"wrong in {', '.join(wrong)}" if wrong else "each named, set aside and not used"
    return Outcome(not wrong, f"one bit in each of {len(parts)} parts of {len(killed.newest)} bytes: {words}")


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a flipped bit": lambda content: flip(content, len(content) // 2, len(content) // 2 + 1, random.Random(0)),
    "empty": lambda content: b"",
    "cut": lambda content: content[:len(content) // 3],
    "zeroed": lambda content: bytes(len(content)),
}


def end_to_end(folder: Path) -> Outcome:
    """A stage that finds its newest checkpoint damaged, or both, ends with the weights of an unbroken one."""
    finish(folder, "stages.compose", *SETTINGS)
    finish(folder, "stages.train", "prompts")
    whole = digest(folder / PROMPTS)
    killed, said = kill_half_way(folder), []
    for name, damage in DAMAGES.items():
        both = name == "empty"
        killed.put(folder / ".checkpoints", damage(killed.newest), b"" if both else killed.before)
        (folder / PROMPTS).unlink()
        ended = python(folder, "-m", "stages.train", "prompts")
        outcome = went_on(ended, whole, digest(folder / PROMPTS))
        if not outcome.held or ended.output.count("set aside as") != 1 + both or ("resumed" in ended.output) == both:
            return Outcome(False, f"{name}: {outcome.said}: {ended.output}")
        said.append(name)
    return Outcome(True, f"named in one line, then the same weights: {', '.join(said)}")


def full_disk(folder: Path) -> Outcome:
    """The second checkpoint finds no room; then there is some."""
    finish(folder, "stages.compose", *SETTINGS)
    finish(folder, "stages.train", "prompts")
    whole = digest(folder / PROMPTS)
    size, place = len(kill_half_way(folder).newest), folder / ".checkpoints"
    begin_anew(folder, PROMPTS)
    place.mkdir()
    with small_disk(place, size * 3 // 2):
        refused = python(folder, "-m", "stages.train", "prompts")
        kept = [path for path in place.iterdir() if checkpoint.load(path, path.stem.partition("-")[2])]
        if refused.status != 2 or refused.tracebacks or "no space left" not in refused.last_line or len(kept) != 1:
            return Outcome(False, f"exit {refused.status}, {len(kept)} whole checkpoints: {refused.output}")
        resize(place, size * 4)
        ended = python(folder, "-m", "stages.train", "prompts")
        outcome = went_on(ended, whole, digest(folder / PROMPTS))
        return Outcome(outcome.held and "resumed" in ended.output, f"{refused.last_line} | then {outcome.said}")


def size_limit(folder: Path) -> Outcome:
    """A file larger than `ulimit -f` allows: one line, and the generations stay."""
    path = folder / "limited.pt"
    for step in (1, 2):
        checkpoint.save(path, "mark", {"step": step, "bulk": bytes(100_000)})
    before = digest(path, checkpoint.earlier(path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        checkpoint.save(path, "mark", {"step": 3, "bulk": bytes(100_000)})
        said = "nothing was refused"
    except ReanchorError as error:
        said = str(error)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    kept = digest(path, checkpoint.earlier(path)) == before and len(list(folder.glob("*limited*"))) == 2
    return Outcome("ulimit -f" in said and kept, f"generations {'kept' if kept else 'LOST'}: {said}")


CASES = [
    *(Case("checkpoints", f"{number.name} at {BREAKS} moments of {name}",
           functools.partial(broken_off, name=name, number=number))
      for name in ("prompts", "clip_reid") for number in (signal.SIGKILL, signal.SIGTERM)),
    Case("checkpoints", "one flipped bit in every part of a checkpoint", every_region),
    Case("checkpoints", "a damaged checkpoint under a stage", end_to_end),
    Case("checkpoints", "a disk that is full at the second checkpoint", full_disk),
    Case("checkpoints", "a file-size limit below a checkpoint's size", size_limit),
]
