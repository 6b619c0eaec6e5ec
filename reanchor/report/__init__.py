"""The study's report: reports/summary.json and the self-contained reports/index.html."""

from reanchor.report.build import build_report

__all__ = ["build_report"]
