"""What trainings report to, in tests."""


class Rows:
    """A recorder that keeps the rows."""

    def __init__(self):
        self.rows: list[dict] = []

    def log(self, step: int, values: dict[str, float]) -> None:
        """Take one row."""
        self.rows.append({**values, "step": step})
