"""What a flow run shows in Prefect's dashboard: metrics as a table, a picture, links to MLflow runs."""

import base64
import io
import json
import re
from pathlib import Path

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from reanchor.hashes import weights_sha256
from reanchor.methods.registry import of_stage

PICTURES = ("data/occluded/contact_sheet.png", "data/prepared/contact_sheet.png")
PICTURE_WIDTH = 640  # pixels: the text of an artifact is stored in Prefect's database
MLFLOW_PAGE = "http://127.0.0.1:5000"


def artifact_key(text: str) -> str:
    """Prefect allows lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def publish_metrics(workspace: Path) -> list[dict]:
    """The metrics of every stage as a table artifact; return its rows."""
    rows = metric_rows(workspace)
    if rows:
        create_table_artifact(key="metrics", table=rows, description="reports/*/metrics.json of this run")
    results = result_rows(rows)
    if results:
        create_table_artifact(key="results", table=results, description="mAP on test identities, %")
    found = result_rows(rows, "search", "R1")
    if found:
        create_table_artifact(key="text-search", table=found, description="R1 of sentences about test identities, %")
    return rows


def metric_rows(workspace: Path) -> list[dict]:
    """[{stage, metric, value}] of all metrics files, sorted."""
    rows = []
    for file in sorted((workspace / "reports").glob("*/metrics.json")):
        stage = file.parent.name
        values = json.loads(file.read_text())
        rows += [{"stage": stage, "metric": name, "value": values[name]} for name in sorted(values)]
    return rows


def result_rows(rows: list[dict], stage: str = "evaluate", metric: str = "mAP") -> list[dict]:
    """One row per method with a metric under each condition, from "method/condition/metric" of a judging stage."""
    table: dict[str, dict] = {}
    for row in rows:
        parts = row["metric"].split("/")
        if row["stage"] == stage and len(parts) == 3 and parts[2] == metric and "slope" not in parts[1]:
            table.setdefault(parts[0], {"method": parts[0]})[parts[1]] = row["value"]
    return list(table.values())


def publish_picture(workspace: Path) -> str | None:
    """A contact sheet as a small JPEG inside a Markdown artifact; the path shown, or None without one."""
    for name in PICTURES:
        if (workspace / name).is_file():
            data = base64.b64encode(_jpeg(workspace / name)).decode()
            create_markdown_artifact(key="picture", description=name,
                                     markdown=f"**{name}**\n\n![{name}](data:image/jpeg;base64,{data})")
            return name
    return None


def link_model_run(workspace: Path, stage: str) -> str | None:
    """Link the MLflow run that made the stage's present weights, however long ago; its id or None."""
    method = of_stage(stage)
    folder = workspace / (method.model if method else "none")
    if not any(folder.rglob("*.safetensors")):
        return None
    from stages.tracking.judged import experiment_of, find_run

    run_id = find_run(workspace, weights_sha256(folder))
    if run_id is not None:
        experiment = experiment_of(workspace)
        create_link_artifact(key=artifact_key(f"mlflow-{stage}"), description=f"MLflow run of {stage}",
                             link=f"{MLFLOW_PAGE}/#/experiments/{experiment}/runs/{run_id}", link_text=run_id)
    return run_id


def _jpeg(file: Path) -> bytes:
    from PIL import Image

    with Image.open(file) as picture:
        picture = picture.convert("RGB")
    picture.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=70)
    return buffer.getvalue()
