"""A user's mistake in Prefect's logs as its one line, without the hundred of a traceback."""

import logging

from pipelines.dvc_commands import DvcFailed
from reanchor.errors import ReanchorError

LOGGERS = ("prefect.flow_runs", "prefect.task_runs")


def log_mistakes_plainly() -> None:
    """From now on, errors that say themselves what to do are logged without traceback; defects keep theirs."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_plain)  # a second time, it changes nothing


def _plain(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], ReanchorError | DvcFailed):
        record.exc_info = None
    return True
