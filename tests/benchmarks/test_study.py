"""The study's driver: what an arm is, what judging keeps, and how tables follow from it."""

import dataclasses
import re

import numpy as np
import pytest
import torch
from evaluation_fakes import FakeEmbedder, make_study
from golden_files import tiny_clip
from omegaconf import OmegaConf
from places import ROOT
from saga_fakes import pixels, reid_model
from torch.testing import assert_close

from benchmarks.study import judge as judging
from benchmarks.study import tables
from benchmarks.study import train as training
from benchmarks.study.__main__ import main
from benchmarks.study.arms import ARMS, title_of
from benchmarks.study.judge import judge
from benchmarks.study.tables import Results, print_curve, print_single, print_tables
from benchmarks.study.train import Place, model_folder, settings, train, workspace
from reanchor.config.load import from_mapping
from reanchor.errors import ReanchorError
from reanchor.files import atomic_directory, write_json
from reanchor.methods.clip_reid.store import read_reid
from reanchor.methods.gate.store import gate_model, ones_gates, save_gated
from reanchor.retrieval.bootstrap import IdentityBootstrap
from reanchor.retrieval.encode import encode_pictures
from reanchor.retrieval.ranking import rank_features


class Variant(FakeEmbedder):
    """The fake with a second feature of the same pass."""

    def embed(self, images, camids, viewids=None):
        made = super().embed(images, camids, viewids)
        return dataclasses.replace(made, variants={"half": made.features[:, :25]})


def test_an_arm_differs_from_the_default_by_its_settings_and_seed(tmp_path):
    made = settings(ARMS["gated_shared"], 3, Place(tmp_path, ROOT, ("saga.views=1",), 1))
    assert {made.prompts.seed, made.finetune.recipe.seed, made.saga.seed, made.gate.seed} == {3}
    assert (made.gate.train, made.gate.trained, made.gate.source) == (True, True, "shared") and made.saga.views == 1


@pytest.mark.parametrize("name", ARMS)
def test_every_arms_settings_are_allowed(name):
    default = OmegaConf.load(ROOT / "params.yaml")
    changed = OmegaConf.merge(default, OmegaConf.from_dotlist(list(ARMS[name].settings)))
    assert (from_mapping(OmegaConf.to_container(changed)) != from_mapping(OmegaConf.to_container(default))) == bool(
        ARMS[name].settings)
    assert ARMS[ARMS[name].base].kind == "reid" or ARMS[name].base == "control"


def test_arms_stand_on_the_encoder_they_name(tmp_path):
    (tmp_path / "models/backbone").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    place = Place(tmp_path / "out", tmp_path)
    assert model_folder(place, "zero_shot", 0) == tmp_path / "models/backbone"
    for name, base in (("saga", "clip_reid"), ("saga_no_token", "no_token"), ("gated", "clip_reid")):
        folder = model_folder(place, name, 2)
        assert folder == tmp_path / f"out/seed-2-{base}/models/{name}"
        assert model_folder(place, base, 2) == folder.parent / "clip_reid"
        assert not model_folder(place, name, 3).parent.parent.exists()  # asking for a place makes none
        made = workspace(place, base, 2)
        assert (made / "models/backbone").resolve() == tmp_path / "models/backbone"
    other = dataclasses.replace(place, root=tmp_path / "other")
    with pytest.raises(ReanchorError, match=r"other/data: not found; allowed: .* run `dvc repro`"):
        workspace(other, "clip_reid", 2)
    (other.root / "data").mkdir(parents=True)
    with pytest.raises(ReanchorError, match=r"--out: .* leads to .* an --out of its own"):
        workspace(other, "clip_reid", 2)


def test_saga_stands_on_the_controls_encoder(place, monkeypatch):
    (place, trained), laid = place, []
    monkeypatch.setattr(training, "train_gate", lambda name, params, work, folder, curve: model_files(folder) or {})
    monkeypatch.setattr(training, "lay_out", lambda control, folder: laid.append((control, folder)))
    folder = train(place, "saga_control", 1)
    assert folder == place.out / "seed-1-control/models/saga_control" and trained[-1] == "saga saga_control"
    assert laid == [(place.out / "seed-1-clip_reid/models/control", folder.parent / "clip_reid")]
    (laid[0][0] / "weights.safetensors").write_bytes(b"two")
    with pytest.raises(ReanchorError, match=r"saga_control was trained with inputs\.control/weights\.safetensors"):
        train(place, "saga_control", 1)


def test_the_controls_encoder_is_laid_out_as_it_was_trained(tmp_path):
    clip, model = tiny_clip(), reid_model()
    gated = gate_model(reid_model(), ones_gates(model.encoder), 1e-6, 0)
    with atomic_directory(tmp_path / "control") as folder:
        save_gated(gated, clip.spec, folder)
    training.lay_out(tmp_path / "control", tmp_path / "clip_reid")
    laid, spec, name = read_reid(tmp_path / "clip_reid")
    assert (spec, name) == (clip.spec, "clip_reid") and laid.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, laid.state_dict()[key]) for key, value in model.state_dict().items())
    sides = torch.tensor([0, 1] * 3)
    assert_close(laid.eval().encode(pixels(), sides).projected, gated.encode(pixels(), sides).projected,
                 atol=1e-4, rtol=1e-4)


FILES = ("weights.safetensors", "model.json", "data/prepared/manifest.parquet")


def model_files(folder):
    """Files of a model and of the workspace it is judged in, in one folder; only their hashes are looked at."""
    for file in FILES:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(b"one")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A study whose trainings only leave a folder, and tell their names."""
    root, trained = tmp_path / "root", []
    model_files(root)
    model_files(root / "models/backbone")
    (root / "conf").symlink_to(ROOT / "conf")
    write_json(root / "data/occluded/suites.json", {"train": {"sha256": "a"}, "val": [], "test": []})

    def leave(name):
        def training(*given):
            folder = next(one for one in given[1:] if isinstance(one, judging.Path) and "models" in one.parts)
            model_files(folder)
            trained.append(f"{name} {folder.name}")
            return {}
        return training

    monkeypatch.setattr(training, "train_prompts", leave("prompts"))
    monkeypatch.setattr(training, "train_stage2", leave("reid"))
    monkeypatch.setattr(training, "train_saga", leave("saga"))
    return Place(tmp_path / "out", root, (), 1), trained


def test_a_model_is_reused_by_its_own_settings_and_images_alone(place, capsys):
    (place, trained), other = place, dataclasses.replace
    folder = train(place, "saga", 0)
    assert trained == ["prompts prompts", "reid clip_reid", "saga saga"]
    assert train(place, "saga", 0) == folder
    train(other(place, threads=2), "saga", 0)
    write_json(place.root / "data/occluded/suites.json", {"train": {"sha256": "a"}, "val": [], "test": ["later"]})
    train(place, "saga", 0)
    train(other(place, overrides=("saga.views=1",)), "clip_reid", 0)  # which does not read it
    with pytest.raises(ReanchorError, match=r"--out: .*models/saga was trained with settings\.saga\.views 2, which is"
                                            r" now 1; allowed: the same; give another --out, or remove that folder$"):
        train(other(place, overrides=("saga.views=1",)), "saga", 0)
    with pytest.raises(ReanchorError, match=r"clip_reid was trained with settings\.finetune\.recipe\.epochs"):
        train(other(place, overrides=("finetune.recipe.epochs=1",)), "saga", 0)  # the encoder below it
    (folder.parent / "clip_reid/weights.safetensors").write_bytes(b"two")
    with pytest.raises(ReanchorError, match=r"saga was trained with inputs\.clip_reid/weights\.safetensors"):
        train(place, "saga", 0)
    write_json(place.root / "data/occluded/suites.json", {"train": {"sha256": "b"}, "val": [], "test": []})
    with pytest.raises(ReanchorError, match=r"clip_reid was trained with inputs\.occluded"):
        train(place, "clip_reid", 0)
    (folder.parent / "clip_reid").rename(folder.with_name("away"))
    with pytest.raises(ReanchorError, match=r"clip_reid was trained with inputs\.occluded"):
        train(place, "clip_reid", 0)  # its prompts are still there
    folder.with_name("away").rename(folder.parent / "clip_reid")
    assert len(trained) == 3
    capsys.readouterr()
    (folder.parent / "clip_reid.record.json").unlink()
    train(place, "clip_reid", 0)
    assert "taken as it is, nothing tells what it was trained with" in capsys.readouterr().out


def test_judging_keeps_every_querys_precision_and_repeats_nothing(tmp_path, monkeypatch):
    study, kept, opened = make_study(), tmp_path / "judged/saga-0.npz", []
    monkeypatch.setattr(judging, "VARIANTS", {"saga": {"half": "half of it"}})
    monkeypatch.setattr(judging, "open_embedder", lambda *names: opened.append(names) or Variant(
        "saga", noise=30.0, tokens=True, robust=1.0))
    model_files(tmp_path)
    few = dataclasses.replace(study, suites=study.suites[:2])
    judge("saga", tmp_path, kept, few, tmp_path)
    judge("saga", tmp_path, kept, few, tmp_path)
    assert len(opened) == 1
    judge("saga", tmp_path, kept, study, tmp_path)
    assert len(opened) == 2
    for count, file in enumerate(FILES, 3):  # a model trained again, other fusion weights, another gallery
        (tmp_path / file).write_bytes(b"another")
        judge("saga", tmp_path, kept, study, tmp_path)
        judge("saga", tmp_path, kept, study, tmp_path)
        assert len(opened) == count
    monkeypatch.setattr(judging, "VARIANTS", {"saga": {"half": "half of it", "later": "a row that came later"}})
    judge("saga", tmp_path, kept, study, tmp_path)
    assert len(opened) == 6
    with np.load(kept) as arrays:
        assert {key for key in arrays.files if key.startswith("ap/")} == {
            f"ap/{row}/{c.name}" for row in ("saga", "saga:half") for c in study.conditions()}
        condition, embedder = study.suites[-1], Variant("saga", noise=30.0)
        sides = ((condition.images, condition.index, condition.rows),
                 (study.images, study.gallery_rows, study.gallery_rows))
        q, g = (encode_pictures(embedder, images, index, study.labels[rows], 256, "")["feature"].numpy()
                for images, index, rows in sides)
        want = rank_features(q, g, study.labels[condition.rows], study.labels[study.gallery_rows], rule="market")
        np.testing.assert_allclose(arrays[f"ap/saga/{condition.name}"], 100 * want.ap_Q, rtol=1e-5)
        assert arrays["share/ogor"].sum() == pytest.approx(1)


def results() -> Results:
    """Two arms, two seeds, four queries of two people."""
    pids = {name: np.array([1, 1, 2, 2]) for name in ("whole", "people-0.20")}
    files = {("clip_reid", 0): [[10, 20, 30, 40], [0, 0, 0, 0]], ("clip_reid", 1): [[10, 20, 30, 60], [2, 2, 2, 2]],
             ("saga", 0): [[12, 22, 30, 40], [4, 4, 8, 8]], ("saga", 1): [[12, 22, 30, 60], [6, 6, 10, 10]]}
    arrays = {key: {f"ap/{key[0]}/{name}": np.array(values, np.float32)
                    for name, values in zip(pids, both, strict=True)} for key, both in files.items()}
    return Results(arrays, pids, IdentityBootstrap(pids["whole"], 500, 0.95, 0))


def test_leads_are_paired_means_over_seeds():
    found = results()
    assert found.accuracy("clip_reid", ["whole", "people-0.20"], [0, 1]).tolist() == [[25, 0], [30, 2]]
    lead, draws = found.lead("saga", "clip_reid", ["whole", "people-0.20"], [0, 1])
    assert lead.tolist() == [1, 6]
    # person 1 leads by 2 and 4, person 2 by 0 and 8: a draw is one of three mixtures
    assert set(draws[:, 0]) == {0, 1, 2} and set(draws[:, 1]) == {4, 6, 8}
    assert np.array_equal(draws[:, 1], 8 - 2 * draws[:, 0])


def test_tables_say_mean_deviation_lead_and_area(capsys):
    found = results()
    print_single(found, ["clip_reid", "saga"], "clip_reid", [0, 1], ["whole"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "|---|---|---|"
    assert lines[2] == "| [CLS] (CLIP-ReID) | 27.5 (3.5) |  |"
    assert lines[3] == "| SAGA: learned text anchors | 28.5 (3.5) | +1.0 [+0.0, +2.0] |"
    print_curve(found, ["clip_reid", "saga"], "clip_reid", [0, 1], "people", {0.0: "whole", 0.2: "people-0.20"})
    text = capsys.readouterr().out
    assert "| SAGA: learned text anchors | 28.5 (3.5) | 7.0 (1.4) | 17.8 (2.5) |" in text
    assert ("| SAGA: learned text anchors | +1.0 [+0.0, +2.0] | +6.0 [+4.0, +8.0] | +3.5 [+3.0, +4.0] | "
            "+2.50 [+1.00, +4.00] |") in text
    assert "people: minus clip_reid; slope: of the lead, in points per 10 % of covered share" in text
    print_curve(found, ["saga"], "clip_reid", [0], "people", {0.0: "whole", 0.2: "people-0.20"})
    assert "| SAGA: learned text anchors | 26.0 | 6.0 | 16.0 |" in capsys.readouterr().out  # one seed has no deviation


def test_the_whole_table_reads_what_was_judged(tmp_path, monkeypatch, capsys):
    study = make_study()
    model_files(tmp_path)
    monkeypatch.setattr(tables, "open_study", lambda prepared, occluded: study)
    for name, robust in (("clip_reid", None), ("saga", 2.0)):
        monkeypatch.setattr(judging, "open_embedder", lambda *names, robust=robust: FakeEmbedder(
            "x", noise=30.0, tokens=robust is not None, robust=robust or 0.0))
        for seed in (0, 1):
            judge(name, tmp_path, tmp_path / f"judged/{name}-{seed}.npz", study, tmp_path)
    capsys.readouterr()
    print_tables(["clip_reid", "saga"], "clip_reid", [0, 1], tmp_path, tmp_path)
    text = capsys.readouterr().out
    for part in ("| ogor |", "masking: mAP by covered share", "people: minus clip_reid",
                 "| SAGA: learned text anchors, people |"):
        assert part in text
    assert title_of("saga:equal") == "SAGA: learned text anchors, fused 1 : 1 : 1 of equal spreads"


@pytest.mark.parametrize(("given", "message"), [
    ("train --arms foo", r"train: --arms: got 'foo'; allowed: zero_shot, clip_reid, .*; give one of these"),
    ("judge --arms gatd_4", r"judge: --arms: got 'gatd_4'; did you mean 'gated_4'\? allowed: zero_shot, .*"),
    ("train --arms saga:refined", r"train: --arms: got 'saga:refined'; allowed: arms without variants, which are "
                                  r"judged with their arm; give 'saga'"),
    ("table --arms saga:nope", r"table: --arms: got 'saga:nope'; .*allowed: saga, saga:refined, saga:authors, "
                               r"saga:authors_equal, saga:equal; give one of these"),
    ("table --arms saga:", r"table: --arms: got 'saga:'; did you mean 'saga'\? allowed: saga, saga:refined, .*"),
    ("table --arms zero_shot:tokens", r"table: --arms: got 'zero_shot:tokens'; .*allowed: zero_shot; give one of .*"),
    ("table --arms saga --against nope", r"table: --against: got 'nope'; .*allowed: zero_shot, clip_reid, .*"),
    ("judge --arms gated_4 saga --seeds 0 2",
     r"judge: --arms, --seeds: got gated_4 of seed 0 2, saga of seed 0 2, not trained in OUT; allowed: what is "
     r"trained; run `python -m benchmarks\.study train --arms gated_4 saga --seeds 0 2 --out OUT`"),
    ("judge", r"judge: --arms, --seeds: got clip_reid of seed 0 1 2, .* not trained in OUT; .*"),
    ("judge --arms zero_shot", r"judge: --arms: got zero_shot, which is models/backbone and not found; .* `dvc repro "
                               r"backbone`"),
    ("table", r"table: .*manifest.parquet: no manifest there; .*"),
])
def test_a_wrong_argument_is_told_in_one_line(tmp_path, monkeypatch, capsys, given, message):
    monkeypatch.chdir(tmp_path)
    assert main([*given.split(), "--threads", "1"]) == 2
    told = capsys.readouterr()
    out = re.escape(str(tmp_path / ".checkpoints/study"))
    assert re.fullmatch(f"benchmarks.study {message.replace('OUT', out)}\n", told.err) and not told.out


def test_without_names_what_is_trained_is_judged(tmp_path, monkeypatch):
    from benchmarks.study import __main__ as command

    judged, folder = [], tmp_path / "seed-1-clip_reid/models/saga"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "open_study", lambda prepared, occluded: "study")
    monkeypatch.setattr(command, "judge", lambda *given: judged.append(given))
    assert command.main(["judge", "--out", ".", "--threads", "1"]) == 0
    assert judged == [("saga", folder, tmp_path / "judged/saga-1.npz", "study", tmp_path)]
