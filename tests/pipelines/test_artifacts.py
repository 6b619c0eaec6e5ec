"""What a flow run shows: links to MLflow, a picture, tables; and a comparison's averages."""

import json

import pytest
from safetensors.numpy import save_file

pytestmark = pytest.mark.slow


def test_a_cached_stage_is_linked_to_the_run_that_made_its_weights(server, workspace):
    import numpy as np
    from prefect.artifacts import Artifact

    from pipelines.artifacts import link_model_run
    from stages.tracking.judged import log_evaluation
    from stages.tracking.origin import weights_sha256

    assert link_model_run(workspace, "saga") is None
    folder = workspace / "models/saga"
    folder.mkdir(parents=True)
    save_file({"scale": np.ones(2, dtype=np.float32)}, folder / "weights.safetensors")
    assert link_model_run(workspace, "saga") is None  # weights of unknown origin
    run_id = log_evaluation(weights_sha256(folder), {}, root=workspace, name="saga")
    assert link_model_run(workspace, "saga") == run_id
    assert run_id in Artifact.get(key="mlflow-saga").data


def test_a_picture_is_small_and_shown_inline(server, workspace):
    from PIL import Image
    from prefect.artifacts import Artifact

    from pipelines.artifacts import publish_picture

    assert publish_picture(workspace) is None
    (workspace / "data/prepared").mkdir(parents=True)
    Image.effect_noise((2000, 1000), 40).save(workspace / "data/prepared/contact_sheet.png")
    assert publish_picture(workspace) == "data/prepared/contact_sheet.png"
    shown = Artifact.get(key="picture").data
    assert "](data:image/jpeg;base64," in shown and len(shown) < 400_000


def test_a_comparison_averages_over_seeds():
    from pipelines.compare import experiment_metrics, experiment_name, summarise

    def shown(name, value):
        metrics = {
            "reports/evaluate/metrics.json": {"data": {"saga/whole/mAP": value}},
            "reports/search/metrics.json": {"data": {"mgcc/whole/R1": value + 10, "seconds": 2.0}},
            "reports/saga/metrics.json": {"data": {"seconds": 3.0}},
        }
        return {"name": name, "revs": [{"data": {"metrics": metrics}}]}

    names = {("saga", seed): experiment_name("saga", seed, ["profile=smoke"]) for seed in (0, 1)}
    assert names["saga", 0] == "compare-saga-seed0-profile-smoke"
    metrics = experiment_metrics(
        [
            {"experiments": None},
            {"experiments": [shown(names["saga", 0], 50.0), shown(names["saga", 1], 54.0)]},
        ]
    )
    assert summarise(metrics, names) == [
        {"method": "saga", "metric": "saga/whole/mAP", "mean": 52.0, "seeds": 2, "deviation": 2.8284},
        {"method": "saga", "metric": "search/mgcc/whole/R1", "mean": 62.0, "seeds": 2, "deviation": 2.8284},
    ]


def test_both_judging_stages_have_a_results_table(tmp_path):
    from pipelines.artifacts import metric_rows, result_rows

    for stage, figures in (("evaluate", {"saga/whole/mAP": 51.5, "saga/lead_slope_people/mAP": 1.0}),
                           ("search", {"mgcc/whole/R1": 60.0, "mgcc/gallery-ogor/R1": 50.0, "mgcc/whole/mAP": 40.0})):
        (tmp_path / "reports" / stage).mkdir(parents=True)
        (tmp_path / "reports" / stage / "metrics.json").write_text(json.dumps(figures))
    rows = metric_rows(tmp_path)
    assert result_rows(rows) == [{"method": "saga", "whole": 51.5}]
    assert result_rows(rows, "search", "R1") == [{"method": "mgcc", "gallery-ogor": 50.0, "whole": 60.0}]
