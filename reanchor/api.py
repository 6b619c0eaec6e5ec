"""`reanchor.load`: a trained model for people who have pictures."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from reanchor.data.photographs import MAX_PIXELS, Picture, listed, read_images, size_read_by
from reanchor.errors import ReanchorError
from reanchor.formats.embedder import Embedder
from reanchor.formats.incoming import checked_numbers
from reanchor.formats.preprocessing import Preprocessing
from reanchor.methods.embedders import load_embedder

BATCH = 64


class Model:
    """A trained model that reads pictures of any size, from files or from memory.

    Attributes:
        embedder: the model itself, which reads pixels of one size (`reanchor.formats.embedder`).
        reads: that size, and the resize that the model was trained for.
    """

    def __init__(self, embedder: Embedder):
        self.embedder = embedder
        self.reads: Preprocessing = size_read_by(embedder)

    def __repr__(self) -> str:
        return f"<Model {self.name}, reads {self.reads}>"

    @property
    def name(self) -> str:
        """The method's name."""
        return self.embedder.name

    def embed(self, pictures: Picture | Iterable[Picture], camids: Sequence[int] | np.ndarray | None = None,
              *, batch: int = BATCH, max_pixels: int = MAX_PIXELS) -> np.ndarray:
        """Features of N pictures, float32 [N, D], each of unit length: their dot product is the cosine similarity.

        Pictures are turned upright by their EXIF tag and resized as the model reads them. A progress bar stands in the
        terminal meanwhile.

        Args:
            pictures: one or several: paths (JPEG, PNG, TIFF or BMP), Pillow's images, or uint8 RGB arrays [H, W, 3].
            camids: of each picture the camera among those that the model was trained with, from 1; 0: unknown, as all
                are without `camids`. Only models with camera embeddings (SIE, SAGA's camera anchors) read them. An
                unknown camera gets the mean of the cameras' embeddings: a photograph of yours comes from none of the
                training's cameras, and among embeddings the mean is nearest to all of them (squared distance). Where a
                model embeds views, too, nobody tells the view here, and nothing is added, as for any unknown view.
            batch: pictures that are read and embedded together.
            max_pixels: of one picture; a larger one is refused before it is decoded.

        Raises:
            ReanchorError: a picture that is absent, damaged, too large or none; a camera that the model does not know;
                not as many cameras as pictures. One line says which and how to mend it.
        """
        if batch < 1:
            raise ReanchorError(f"batch: got {batch}; allowed: 1 or more; {BATCH} is usual")
        given = listed(pictures)
        cameras = np.zeros(len(given), np.int64) if camids is None else checked_numbers(camids, "camids", len(given))
        parts = [self.embedder.embed(read_images([], self.embedder), cameras[:0]).features]  # tells D without a picture
        for start in tqdm(range(0, len(given), batch), desc=f"embed ({self.name})", leave=False, disable=None):
            part = slice(start, start + batch)
            images = read_images(given[part], self.embedder, max_pixels, first=start)
            parts.append(self.embedder.embed(images, cameras[part]).features)
        return np.concatenate(parts)


def load(folder: str | Path, device: str = "auto", *, variant: str = "", flip: bool = False) -> Model:
    """The trained model in a folder.

        import reanchor

        features = reanchor.load("models/gate").embed(["a.jpg", "b.jpg"])  # float32 [2, D], unit length
        features[0] @ features[1]                                          # cosine similarity

    Args:
        folder: one that holds model.json, such as models/clip_reid, models/saga or models/gate.
        device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
        variant: which of a model's features, where it has several ("refined" of SAGA, say); empty: its own choice.
        flip: average with the mirrored picture.

    Raises:
        ReanchorError: no model there, one without a feature of its own (MGCC), an unknown variant or device.
    """
    return Model(load_embedder(Path(folder), device, variant, flip=flip))
