"""Kept outcomes of the table benchmarks belong to the data they were made of."""

import types

import pytest
from text_factory import settings

from benchmarks import clip_reid_tables, text_tables


def keys(root, tmp_path) -> list:
    study = types.SimpleNamespace(suites=[types.SimpleNamespace(sha256="a")])
    return [text_tables.kept_file(tmp_path, model, settings(), 0, study, root) for model in ("zero_shot", "mgcc", "sdm")
            ] + [clip_reid_tables.kept_file(tmp_path, ["baseline", "none"], 4, 0, root)]


@pytest.mark.parametrize("changed", text_tables.INPUTS)
def test_other_inputs_are_never_joined_with_kept_results(tmp_path, changed):
    for path in text_tables.INPUTS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    before = keys(tmp_path, tmp_path / "out")
    assert keys(tmp_path, tmp_path / "out") == before and len(set(before)) == 4
    (tmp_path / changed).write_text("another")
    assert not set(keys(tmp_path, tmp_path / "out")) & set(before)


def test_another_arm_epoch_or_seed_has_its_own(tmp_path):
    for path in text_tables.INPUTS:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    found = {clip_reid_tables.kept_file(tmp_path, arm, epochs, seed, tmp_path)
             for arm in (["a"], ["b"]) for epochs in (1, 2) for seed in (0, 1)}
    assert len(found) == 8
