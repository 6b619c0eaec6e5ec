"""The pyfunc that MLflow stores with every trained model ("models from code")."""

from pathlib import Path

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel


class EmbeddingModel(PythonModel):
    """Images uint8 [N, H, W, 3] -> L2-normalised features float32 [N, D]."""

    def load_context(self, context) -> None:
        from reanchor.methods.load import load_embedder

        self._embedder = load_embedder(Path(context.artifacts["folder"]), "cpu")

    def predict(self, context, model_input: np.ndarray, params: dict | None = None) -> np.ndarray:
        cameras = np.ones(len(model_input), dtype=np.int64)
        return self._embedder.embed(model_input, cameras).features


mlflow.models.set_model(EmbeddingModel())
