"""Where training curves go."""

from typing import Protocol


class Recorder(Protocol):
    """Anything that takes one row of a training curve."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take the values of optimiser step `step`."""
