"""MLflow: one run per trained model, its evaluation in the same run. Trouble with it never stops a stage.

Runs live in mlruns/mlflow.db and mlruns/artifacts of the repository that `dvc` was called in (also when
`dvc exp run --temp` works in a copy), or on the server that MLFLOW_TRACKING_URI names. What cannot be logged is kept
in mlruns/pending; `python -m stages.log_pending` logs it later.
"""

from stages.tracking.address import tracking_uri
from stages.tracking.judged import experiment_of, find_run, log_evaluation, log_methods
from stages.tracking.origin import weights_sha256
from stages.tracking.run import ModelRun, open_group
from stages.tracking.store import connect
from stages.tracking.tables import METHODS, SEARCHERS, parents_of

__all__ = ["METHODS", "SEARCHERS", "ModelRun", "connect", "experiment_of", "find_run", "log_evaluation",
           "log_methods", "open_group", "parents_of", "tracking_uri", "weights_sha256"]
