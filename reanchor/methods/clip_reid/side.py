"""Side information embedding (SIE): which camera, which view (TransReID; CLIP-ReID section "SIE and OLP").

Shapes: B images, D token width, R rows of the table.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Generator, Tensor, nn

from reanchor.errors import ReanchorError


@dataclass(frozen=True)
class SideSettings:
    """What is embedded, and where it is added."""

    kind: str  # camera, view or both
    cameras: int  # camids are 1 .. cameras
    views: int  # viewids are 1 .. views, 0 where unknown
    coefficient: float = 1.0
    tokens: str = "cls"  # cls (CLIP-ReID) or all (TransReID)

    @property
    def rows(self) -> int:
        """Rows of the table: cameras, views, or one for each pair."""
        return {"camera": self.cameras, "view": self.views, "both": self.cameras * self.views}[self.kind]

    def as_dict(self) -> dict:
        """For model.json."""
        return asdict(self)


class SideInformation(nn.Module):
    """A learned row per camera, view or pair of both, as the authors' `cv_embed`."""

    def __init__(self, settings: SideSettings, width: int):
        super().__init__()
        self.settings = settings
        self.table = nn.Parameter(torch.zeros(settings.rows, width))

    def initialise(self, generator: Generator) -> None:
        """Truncated normal, .02."""
        with torch.no_grad():
            nn.init.trunc_normal_(self.table, std=0.02, generator=generator)

    def index(self, camids: np.ndarray, viewids: np.ndarray | None = None) -> Tensor:
        """Rows of the table for 1-based camids and viewids [B]; -1 where the view is unknown (0).

        A pair's row is camera * views + view, both counted from 0 there, as in the authors' code. An unknown camera
        (0) stands behind the last one: its rows are means over all cameras (see `forward`).

        Raises:
            ReanchorError: a camera or view without a learned embedding.
        """
        kind, cameras, views = self.settings.kind, self.settings.cameras, self.settings.views
        camera = (_known(camids, 0, cameras, "camera") - 1) % (cameras + 1) if kind != "view" else 0
        if kind == "camera":
            return torch.as_tensor(camera)
        view = _known(np.zeros_like(camids) if viewids is None else viewids, 0, views, "view") - 1
        return torch.as_tensor(np.where(view >= 0, camera * views + view, -1))

    def forward(self, index: Tensor) -> Tensor:
        """What the encoder adds: [B, D] to [CLS], [B, 1, D] to every token; nothing for row -1.

        Rows behind the table's last, which no training image has, are the means over all cameras, one for each view.
        Of a camera that nobody knows, the mean has the least expected squared distance to its embedding. To add nothing
        would be unlike all that the encoder was trained with: what the cameras' embeddings have in common has become
        part of its input. SAGA's camera anchors treat an unknown camera the same way.
        """
        table = self.table if self.training or self.settings.kind == "view" else self._with_means()
        side = self.settings.coefficient * table[index.clamp(min=0)] * (index >= 0).unsqueeze(1)
        return side if self.settings.tokens == "cls" else side.unsqueeze(1)

    def _with_means(self) -> Tensor:
        cameras = self.table.unflatten(0, (self.settings.cameras, -1))  # [cameras, views or 1, D]
        return torch.cat([self.table, cameras.mean(0)])


def _known(numbers: np.ndarray, first: int, last: int, what: str) -> np.ndarray:
    numbers = np.asarray(numbers, dtype=np.int64)
    strange = numbers[(numbers < first) | (numbers > last)]
    if len(strange):
        raise ReanchorError(f"finetune.recipe.sie: {what} {strange.min()} has no embedding, allowed are {first} to "
                            f"{last} (those of the training images; 0: unknown); set finetune.recipe.sie=none, or "
                            "imported.sie_tokens=none for an imported model")
    return numbers
