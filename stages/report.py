"""Stage `report`: reports/summary.json and the self-contained reports/index.html."""

from reanchor.report.build import build_report
from reanchor.report.files import read_json
from reanchor.report.table import show_table
from stages.runner import StageRun, run_stage


def body(run: StageRun) -> dict:
    metrics = build_report(run.params, run.root)
    show_table(read_json(run.root / "reports/summary.json"))
    return metrics


if __name__ == "__main__":
    run_stage("report", body)
