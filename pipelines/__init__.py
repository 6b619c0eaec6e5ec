"""Prefect flows around the DVC stages: when, retries, visibility. What to run is DVC's to say."""
