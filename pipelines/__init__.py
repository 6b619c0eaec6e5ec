"""Runs of the DVC stages, as Prefect flows and from a terminal: when, retries, visibility.

What to run is DVC's to say.
"""

import os

os.environ.setdefault("DO_NOT_TRACK", "true")  # Prefect and MLflow report nothing, unless the user says so
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
