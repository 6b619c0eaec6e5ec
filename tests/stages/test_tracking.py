"""Runner, curves and MLflow, read back through MLflow's own client."""

import csv
import hashlib
import json
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from safetensors.numpy import save_file

from reanchor.config.params import Params
from stages import tracking
from stages.curves import CurveFile, settings_key
from stages.runner import StageRun, run_stage
from stages.tracking.address import tracking_uri
from stages.tracking.judged import find_run, log_evaluation, log_methods
from stages.tracking.origin import weights_sha256
from stages.tracking.run import ModelRun, open_group
from stages.tracking.store import connect

pytestmark = pytest.mark.slow


def weights(folder, value: float = 1.0):
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"scale": np.full(3, value, dtype=np.float32)}, folder / "weights.safetensors")
    return folder


def rows(path) -> list[dict]:
    with path.open() as handle:
        return list(csv.DictReader(handle))


def test_a_trained_model_is_one_run_with_everything_in_it(workspace, monkeypatch):
    parent = weights(workspace / "models/backbone")
    folder = weights(workspace / "models/saga", 2.0)
    monkeypatch.setattr("stages.models.log_pyfunc", lambda run_id, folder, name: None)
    (workspace / "params.yaml").write_text("saga: {epochs_a: 3}\n")

    def body(run: StageRun) -> dict:
        recorder = run.recorder()
        recorder.log(1, {"loss": 2.5})
        recorder.log(2, {"loss": 1.5, "val_mAP": 40.0})
        run.log_model(folder)
        return {"images_per_second": 120.0, "best": "epoch 2"}

    run_stage("saga", body)
    client = connect(workspace)
    experiment = client.get_experiment_by_name("reanchor")
    assert experiment.artifact_location == (workspace / "mlruns/artifacts").as_uri()
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("saga", "FINISHED")
    assert run.data.params["saga.epochs_a"] == "3" and "finetune.clip_reid.id" not in run.data.params
    assert run.data.metrics["images_per_second"] == 120.0 and run.data.metrics["peak_memory_mb"] > 10
    tags = run.data.tags
    assert tags["reanchor.weights_sha256"] == hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert tags["reanchor.parent.backbone"] == weights_sha256(parent)
    assert tags["reanchor.best"] == "epoch 2"
    history = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 2.5), (2, 1.5)]
    assert rows(workspace / "reports/saga/curves.csv") == [
        {"step": "1", "loss": "2.5", "val_mAP": ""},
        {"step": "2", "loss": "1.5", "val_mAP": "40"},
    ]
    written = json.loads((workspace / "reports/saga/metrics.json").read_text())
    assert written["images_per_second"] == 120.0 and written["seconds"] >= 0


def test_evaluation_joins_the_run_that_made_the_weights(workspace, monkeypatch):
    monkeypatch.setattr("stages.models.log_pyfunc", lambda run_id, folder, name: None)
    folder = weights(workspace / "models/saga")
    run = ModelRun.open(workspace, "saga", Params())
    run.log_model(folder)
    run.close("FINISHED", {})
    figures = {"saga/whole/mAP": 51.5, "saga_refined/whole/mAP": 40.0, "histogram/whole/mAP": 1.0}
    log_methods(workspace, figures)
    expected = {"whole/mAP": 51.5, "saga_refined/whole/mAP": 40.0}
    client = connect(workspace)
    assert client.get_run(run.run_id).data.metrics == expected
    assert find_run(workspace, weights_sha256(folder)) == run.run_id
    again = ModelRun.open(workspace, "saga", Params())  # trained anew to the same weights
    again.log_model(folder)
    again.close("FINISHED", {})
    assert client.get_run(again.run_id).data.metrics == expected
    assert find_run(workspace, weights_sha256(folder)) == again.run_id
    other = find_run(workspace, "histogram of none")
    assert client.get_run(other).data.metrics == {"whole/mAP": 1.0}
    log_methods(workspace, {"histogram/whole/mAP": 2.0})  # again: the same run
    assert client.get_run(other).data.metrics == {"whole/mAP": 2.0}


def test_a_fresh_database_gets_a_run_for_restored_weights(workspace):
    run_id = log_evaluation("abc", {"whole/mAP": 3.0}, name="saga")
    run = connect(workspace).get_run(run_id)
    assert (run.info.run_name, run.info.status, run.data.metrics) == ("saga", "FINISHED", {"whole/mAP": 3.0})


def test_an_interrupted_training_goes_on_in_its_run(workspace):
    first = ModelRun.open(workspace, "baseline", Params())  # killed: never closed
    again = ModelRun.open(workspace, "baseline", Params())
    changed = Params()
    changed.finetune.recipe.lr = 0.5
    assert again.run_id == first.run_id
    assert ModelRun.open(workspace, "baseline", changed).run_id != first.run_id
    again.close("FINISHED", {})
    assert ModelRun.open(workspace, "baseline", Params()).run_id != first.run_id


def test_runs_go_to_the_repository_from_a_temporary_copy(workspace, tmp_path_factory, monkeypatch):
    copy = tmp_path_factory.mktemp("copy")
    monkeypatch.setenv("DVC_ROOT", str(workspace))
    assert tracking_uri(copy) == f"sqlite:///{workspace}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    assert tracking_uri(copy) == "http://tracker:5000"


def test_a_parent_run_is_named_by_a_variable_of_our_own(workspace, monkeypatch):
    group = open_group(workspace, "compare", {"seeds": [0, 1]})
    monkeypatch.setenv("REANCHOR_PARENT_RUN", group)
    run = ModelRun.open(workspace, "saga", Params())
    assert connect(workspace).get_run(run.run_id).data.tags["mlflow.parentRunId"] == group


def test_one_hash_for_several_weight_files(tmp_path):
    folder = weights(tmp_path / "model")
    alone = weights_sha256(folder)
    save_file({"bias": np.zeros(2, dtype=np.float32)}, folder / "head.safetensors")
    lines = "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("head.safetensors", "weights.safetensors")
    )
    assert weights_sha256(folder) == hashlib.sha256(lines.encode()).hexdigest() != alone


def test_the_model_loads_as_a_pyfunc(workspace, monkeypatch):
    """The stored code asks `reanchor.methods.embedders` for the embedder; here that is a stand-in."""
    import mlflow

    class Embedder:
        def __init__(self, folder):
            from safetensors.numpy import load_file

            self.scale = load_file(folder / "weights.safetensors")["scale"]

        def embed(self, images, camids, viewids=None):
            assert images.dtype == np.uint8 and len(camids) == len(images)
            return type("Embedding", (), {"features": images.mean((1, 2)).astype(np.float32) * self.scale})

    monkeypatch.setattr("reanchor.methods.embedders.load_embedder", lambda folder, device: Embedder(folder))
    run = ModelRun.open(workspace, "saga", Params())
    folder = weights(workspace / "models/saga", 2.0)
    (folder / "model.json").write_text('{"kind": "saga", "spec": {"image_size": [4, 2]}}')
    run.log_model(folder)
    run.close("FINISHED", {})
    (logged,) = mlflow.search_logged_models(
        experiment_ids=[connect(workspace).get_run(run.run_id).info.experiment_id],
        output_format="list",
    )
    assert logged.source_run_id == run.run_id
    stored = [file.name for file in (workspace / "mlruns/artifacts").rglob("*") if file.is_file()]
    assert "weights.safetensors" in stored and not [name for name in stored if name.endswith((".pkl", ".pt"))]
    model = mlflow.pyfunc.load_model(logged.model_uri)
    (images,) = model.metadata.signature.inputs.inputs
    assert (images.type, images.shape) == (np.dtype("uint8"), (-1, 4, 2, 3))
    features = model.predict(np.full((2, 4, 2, 3), 10, dtype=np.uint8))
    np.testing.assert_allclose(features, np.full((2, 3), 20.0))
    for wrong in (np.zeros((2, 2, 4, 3), np.uint8), np.zeros((2, 4, 2, 3)), np.zeros((4, 2, 3), np.uint8)):
        with pytest.raises(mlflow.MlflowException, match=r"(?i)schema"):  # swapped sides, floats, no batch
            model.predict(wrong)


def test_learned_prompts_load_as_a_pyfunc(workspace):
    import mlflow
    from safetensors.numpy import save_file

    features = np.arange(6, dtype=np.float32).reshape(3, 2)
    (workspace / "models/prompts").mkdir(parents=True)
    save_file({"text_features": features, "context": features}, workspace / "models/prompts/prompts.safetensors")
    run = ModelRun.open(workspace, "prompts", Params())
    run.log_model(workspace / "models/prompts")
    assert connect(workspace).get_run(run.run_id).info.status == "RUNNING"  # its figures come later
    run.close("FINISHED", {})
    (logged,) = mlflow.search_logged_models(
        experiment_ids=[connect(workspace).get_run(run.run_id).info.experiment_id], output_format="list")
    model = mlflow.pyfunc.load_model(logged.model_uri)
    np.testing.assert_array_equal(model.predict(np.array([2, 0])), features[[2, 0]])


def test_a_curve_holds_one_row_a_step_and_the_later_value(tmp_path):
    curve = CurveFile(tmp_path, "saga")
    for step in (10, 20, 30):
        curve.log(step, {"loss": float(step)})
    curve.log(20, {"loss": 21.0})
    curve.log(30, {"val": 1.0})
    curve.close()
    assert rows(tmp_path / "reports/saga/curves.csv") == [
        {"step": "10", "loss": "10", "val": ""},
        {"step": "20", "loss": "21", "val": ""},
        {"step": "30", "loss": "30", "val": "1"},
    ]


def test_the_key_of_settings_leaves_runtime_out():
    changed = Params()
    changed.saga.lr_a = 0.5
    assert settings_key(changed) != settings_key(Params())
    changed = Params()
    changed.runtime.threads = 7
    assert settings_key(changed) == settings_key(Params())


def test_a_stage_without_a_model_does_not_import_mlflow(tmp_path):
    (tmp_path / "params.yaml").write_text("{}\n")
    script = textwrap.dedent("""
        import sys
        from stages.runner import run_stage
        run_stage("prepare", lambda run: {"images": 3})
        print("mlflow" in sys.modules, "torch" in sys.modules)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(tracking.__file__).rpartition("/stages/")[0], "PATH": "/usr/bin"},
    )
    assert done.stdout.splitlines()[0] == "[prepare] started" and done.stdout.splitlines()[-1] == "False False"


def test_the_evaluation_stage_shares_its_figures_out(workspace):
    (workspace / "params.yaml").write_text("{}\n")
    run_stage("evaluate", lambda run: {"histogram/whole/mAP": 1.5})
    run_id = find_run(workspace, "histogram of none")
    assert connect(workspace).get_run(run_id).data.metrics == {"whole/mAP": 1.5}


def test_text_figures_stand_beside_image_figures_in_the_backbones_run(workspace):
    (workspace / "params.yaml").write_text("{}\n")
    folders = {"zero_shot": "models/backbone", "tbps_clip": "models/tbps_clip", "mgcc": "models/mgcc"}
    for value, folder in enumerate(folders.values(), start=1):
        weights(workspace / folder, float(value))
    run_stage("evaluate", lambda run: {"zero_shot/whole/mAP": 40.0})
    figures = {f"{name}/whole/R1": 50.0 + i for i, name in enumerate(folders)} | {"mgcc/gallery-ogor/mAP": 3.5}
    run_stage("search", lambda run: figures)
    client = connect(workspace)
    found = {name: client.get_run(find_run(workspace, weights_sha256(workspace / folder)))
             for name, folder in folders.items()}
    assert found["zero_shot"].data.metrics == {"whole/mAP": 40.0, "text/whole/R1": 50.0}
    assert found["tbps_clip"].data.metrics == {"text/whole/R1": 51.0}
    assert found["mgcc"].data.metrics == {"text/whole/R1": 52.0, "text/gallery-ogor/mAP": 3.5}
    assert found["mgcc"].info.run_name == "mgcc"
    run_stage("search", lambda run: {"skipped": 1})  # no captions: nothing to share out
