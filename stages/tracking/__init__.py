"""MLflow: one run per trained model, its evaluation in the same run. Trouble with it never stops a stage.

Runs live in mlruns/mlflow.db and mlruns/artifacts of the repository that `dvc` was called in (also when
`dvc exp run --temp` works in a copy), or on the server that MLFLOW_TRACKING_URI names. What cannot be logged is kept
in mlruns/pending; `python -m stages.log_pending` logs it later.
"""
