"""The study's report: reports/summary.json and the self-contained reports/index.html."""
