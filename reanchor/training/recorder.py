"""Where training curves go."""

from typing import Protocol


class Recorder(Protocol):
    """Anything that takes one row of a training curve."""

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take the values of optimiser step `step`."""


class PhaseRecorder:
    """A recorder for one of several trainings that share a curve.

    Args:
        recorder: of the whole curve.
        steps, epochs: of the trainings before.
        names: other names for values that mean something else than the same ones of the other trainings.
    """

    def __init__(self, recorder: Recorder, steps: int = 0, epochs: int = 0, names: dict[str, str] | None = None):
        self._recorder, self._steps, self._epochs, self._names = recorder, steps, epochs, names or {}

    def log(self, step: int, values: dict[str, float]) -> None:
        """Shift step and epoch, rename."""
        moved = {**values, "step": step + self._steps, "epoch": values["epoch"] + self._epochs}
        self._recorder.log(step + self._steps, {self._names.get(name, name): value for name, value in moved.items()})
