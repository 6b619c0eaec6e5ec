"""Stage `report`: reports/summary.json and the self-contained reports/index.html."""

from reanchor.report import build_report
from reanchor.report.table import results_table
from stages.runner import StageRun, run_stage


def body(run: StageRun) -> dict:
    metrics = build_report(run.params, run.root)
    print(results_table(run.root / "reports/evaluate"))
    return metrics


if __name__ == "__main__":
    run_stage("report", body)
