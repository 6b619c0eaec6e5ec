"""Checkpoints: what is damaged is never used, named in one line, and the generation before it goes on."""

import builtins
import errno
import io
import itertools
import os

import pytest
import torch
from torch import nn
from toy_training import Curve, Stop, make_job, same, stop_at, train

from reanchor.errors import ReanchorError
from reanchor.training import checkpoint
from reanchor.training.fitting import fits
from reanchor.training.loop import Trainer


def saved(path, **generations):
    """Generations {name: mark}, the newest last; their states tell their names."""
    for name, mark in generations.items():
        checkpoint.save(path, mark, {"name": name, "weights": torch.arange(5.0)})


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_generations_are_kept_and_the_newest_is_read(tmp_path, capsys):
    path = tmp_path / "a.pt"
    assert checkpoint.load(path, "m") is None
    saved(path, first="m", second="m", third="m")
    state = checkpoint.load(path, "m")
    assert state["name"] == "third" and torch.equal(state["weights"], torch.arange(5.0))
    assert names(tmp_path) == ["a.pt", "a.pt.previous"] and capsys.readouterr().err == ""


def test_every_flipped_bit_is_found(tmp_path, capsys):
    path = tmp_path / "a.pt"
    saved(path, whole="m")
    whole = path.read_bytes()
    checkpoint._verify(io.BytesIO(whole), len(whole))
    flipped = bytearray(whole)
    for place, bit in itertools.product(range(len(whole)), range(8)):
        flipped[place] ^= 1 << bit
        with pytest.raises(checkpoint._Damaged, match="its checksum is wrong"):
            checkpoint._verify(io.BytesIO(flipped), len(whole))
        flipped[place] ^= 1 << bit
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1:])
        assert checkpoint.load(path, "m") is None, place
    assert capsys.readouterr().err.count("its checksum is wrong") == len(range(0, len(whole), 97))
    path.write_bytes(whole)
    assert checkpoint.load(path, "m")["name"] == "whole"


def test_every_cut_is_found(tmp_path, capsys):
    path = tmp_path / "a.pt"
    saved(path, whole="m")
    whole = path.read_bytes()
    lengths = [*range(40), *range(40, len(whole), 41), *range(len(whole) - 40, len(whole))]
    for damaged in (*(whole[:length] for length in lengths), bytes(len(whole)), bytes(31), bytes(32), bytes(33),
                    whole + b"\0", whole[32:]):
        path.write_bytes(damaged)
        assert checkpoint.load(path, "m") is None
    assert "has 0 bytes" in capsys.readouterr().err


@pytest.mark.parametrize("damaged", [("a.pt",), ("a.pt", "a.pt.previous")])
def test_a_damaged_generation_is_named_set_aside_and_passed_over(tmp_path, capsys, damaged):
    path = tmp_path / "a.pt"
    saved(path, first="m", second="m")
    for name in damaged:
        (tmp_path / name).write_bytes(b"")
    state = checkpoint.load(path, "m")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(damaged) and lines[0].startswith(f"{path}: has 0 bytes")
    assert all((tmp_path / f"{name}.damaged").read_bytes() == b"" for name in damaged)
    assert not any((tmp_path / name).exists() for name in damaged)
    if len(damaged) == 1:
        assert state["name"] == "first" and lines[0].endswith("a.pt.damaged, the checkpoint before it is used")
        saved(path, third="m")
        assert names(tmp_path) == ["a.pt", "a.pt.damaged", "a.pt.previous"]
    else:
        assert state is None and all(line.endswith("this training starts from its beginning") for line in lines)


def test_other_settings_are_passed_over_in_silence(tmp_path, capsys):
    path = tmp_path / "a.pt"
    saved(path, first="m", second="other")
    assert checkpoint.load(path, "third") is None
    assert checkpoint.load(path, "m")["name"] == "first" and checkpoint.load(path, "other")["name"] == "second"
    assert capsys.readouterr().err == "" and names(tmp_path) == ["a.pt", "a.pt.previous"]
    path.write_bytes(path.read_bytes()[:-1])
    assert checkpoint.load(path, "m")["name"] == "first" and names(tmp_path) == ["a.pt.damaged", "a.pt.previous"]


def test_a_file_that_only_looks_like_a_checkpoint_is_passed_over(tmp_path, capsys):
    path, other = tmp_path / "a.pt", tmp_path / "b"
    saved(path, first="m", second="m")
    for content in ({"mark": "m"}, [1, 2], nn.Linear(2, 2)):  # the last is refused by torch
        with open(other, "wb") as stream:
            hashing = checkpoint._Hashing(stream)
            torch.save(content, hashing)
            stream.write(hashing.sha256.digest())
        os.replace(other, path)
        assert checkpoint.load(path, "m")["name"] == "first"
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(line.startswith(f"{path}: ") for line in lines) and "holds no checkpoint" in lines[0]


@pytest.mark.parametrize(("number", "kept"), [(errno.EACCES, True), (errno.EMFILE, True), (errno.EIO, False)])
def test_only_a_bad_sector_is_damage(tmp_path, monkeypatch, capsys, number, kept):
    saved(tmp_path / "a.pt", first="m", second="m")
    real = open

    def refusing(file, *mode, **more):
        if file == tmp_path / "a.pt":
            raise OSError(number, os.strerror(number), str(file))
        return real(file, *mode, **more)

    monkeypatch.setattr(builtins, "open", refusing)
    if kept:
        with pytest.raises(ReanchorError, match=r"a\.pt: cannot be read now .*; mend that and run again"):
            checkpoint.load(tmp_path / "a.pt", "m")
        assert names(tmp_path) == ["a.pt", "a.pt.previous"]
    else:
        assert checkpoint.load(tmp_path / "a.pt", "m")["name"] == "first"
        assert names(tmp_path) == ["a.pt.damaged", "a.pt.previous"]
        assert "a.pt: cannot be read" in capsys.readouterr().err


def test_too_little_memory_is_no_damage(tmp_path, monkeypatch):
    saved(tmp_path / "a.pt", first="m")
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 byte")):
        def load(*words, raised=error, **more):
            raise raised

        monkeypatch.setattr(torch, "load", load)
        with pytest.raises(type(error)):
            checkpoint.load(tmp_path / "a.pt", "m")
    assert names(tmp_path) == ["a.pt"]


def test_only_the_first_rank_moves_and_speaks(tmp_path, capsys, monkeypatch):
    path = tmp_path / "a.pt"
    saved(path, first="m", second="m")
    path.write_bytes(b"")
    monkeypatch.setattr(checkpoint, "rank", lambda: 1)
    assert checkpoint.load(path, "m")["name"] == "first"
    assert capsys.readouterr().err == "" and names(tmp_path) == ["a.pt", "a.pt.previous"]


def test_a_full_disk_leaves_the_generations(tmp_path, monkeypatch):
    path = tmp_path / "a.pt"
    saved(path, first="m", second="m")
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint._Hashing, "write", full)
    with pytest.raises(ReanchorError, match=r"a\.pt: no space left on the disk"):
        saved(path, third="m")
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


@pytest.mark.parametrize("damaged", [("a.pt",), ("a.pt", "a.pt.previous")])
@pytest.mark.parametrize("step", [2, 4, 5, 9])
def test_training_from_what_is_left_ends_with_the_same_weights(tmp_path, capsys, damaged, step):
    whole, outcome, curve = train(tmp_path / "whole.pt", every=0)
    with pytest.raises(Stop):
        train(tmp_path / "a.pt", at_step=stop_at(step))
    for name in damaged:
        if (tmp_path / name).exists():  # after the first step there is one generation
            content = bytearray((tmp_path / name).read_bytes())
            content[len(content) // 2] ^= 4
            (tmp_path / name).write_bytes(content)
    again, resumed, curve_again = train(tmp_path / "a.pt")
    assert same(whole, again) and resumed.history == outcome.history and curve_again.rows == curve.rows
    assert "checksum is wrong" in capsys.readouterr().err


def content_of(path, **job) -> dict:
    trainer = Trainer(make_job(**job), path, "mark", 1, Curve())
    with pytest.raises(Stop):
        trainer.run()
    return checkpoint.load(path, "mark")


def broken(content: dict, *keys: str, value: object = None) -> dict:
    """`content` with one entry changed, or without it."""
    copy = {**content}
    if len(keys) > 1:
        copy[keys[0]] = broken(copy[keys[0]], *keys[1:], value=value)
    elif value is None:
        del copy[keys[0]]
    else:
        copy[keys[0]] = value
    return copy


def test_a_checkpoint_that_does_not_fit_is_passed_over_before_anything_is_overwritten(tmp_path, capsys):
    content = content_of(tmp_path / "a.pt", at_step=stop_at(5))
    wider = content_of(tmp_path / "wide.pt", at_step=stop_at(5), width=9)
    own = Trainer(make_job(), tmp_path / "b.pt", "mark", 1, Curve())._content()
    misfits = [
        *(broken(content, key) for key in content), {**content, "extra": 1}, wider,
        {**content, "best": wider["module"]}, {**content, "optimizer": wider["optimizer"]},
        {**content, "module": None}, {**content, "best": 3}, {**content, "global_generator": "x"},
        {**content, "generator": torch.zeros(3, dtype=torch.uint8)},
        broken(content, "state", "steps"), broken(content, "state", "older", value=1),
        broken(content, "module", "0.bias"), broken(content, "module", "9.bias", value=torch.zeros(1)),
        broken(content, "optimizer", "param_groups", value=[]), broken(content, "optimizer", "state"),
        broken(content, "optimizer", "param_groups",
               value=[broken(group, "weight_decay") for group in content["optimizer"]["param_groups"]]),
    ]
    assert [place for place, misfit in enumerate(misfits) if fits(misfit, own)] == []
    assert fits(content, own) and fits(own, own) and fits({**content, "best": content["module"]}, own)
    checkpoint.save(tmp_path / "b.pt", "mark", wider)
    weights, _, _ = train(tmp_path / "b.pt", every=0)
    assert "b.pt: holds something else than this training; set aside as b.pt.damaged" in capsys.readouterr().err
    assert same(weights, train(tmp_path / "whole.pt", every=0)[0])
