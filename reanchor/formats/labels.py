"""Who is on a picture, and which camera took it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Labels:
    """pid and camid (and viewid, where one is known) of each item of a query set or a gallery."""

    pids: np.ndarray  # int64 [N]
    camids: np.ndarray  # int64 [N]
    viewids: np.ndarray | None = None  # int64 [N]

    def __getitem__(self, rows: np.ndarray | slice) -> "Labels":
        viewids = None if self.viewids is None else self.viewids[rows]
        return Labels(self.pids[rows], self.camids[rows], viewids)
