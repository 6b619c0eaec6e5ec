"""MLflow's patience and its voice: minutes of silent retries and pages of traceback, where one line is wanted."""

import logging
import os
import warnings

DEFAULTS = {  # yours win
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds without an answer (120)
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # (7)
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",  # waits of about 1, 2, 4 seconds (2)
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
LEVEL_VARIABLE = "MLFLOW_LOGGING_LEVEL"
LIBRARIES = ("mlflow", "alembic", "sqlalchemy", "urllib3")


def be_patient_and_quiet() -> None:
    """Bound MLflow's HTTP requests and silence it and its libraries, unless MLFLOW_LOGGING_LEVEL asks for words."""
    for variable, value in DEFAULTS.items():
        os.environ.setdefault(variable, value)
    if os.environ.get(LEVEL_VARIABLE):
        return
    warnings.filterwarnings("ignore", module=rf"({'|'.join(LIBRARIES)})(\.|$)")
    for name in [*logging.root.manager.loggerDict]:
        if name.startswith(tuple(f"{library}." for library in LIBRARIES)):
            logging.getLogger(name).handlers.clear()  # MLflow gives its libraries' loggers handlers of their own
            logging.getLogger(name).propagate = True
    for library in LIBRARIES:
        logging.getLogger(library).handlers = [logging.NullHandler()]
        logging.getLogger(library).propagate = False
