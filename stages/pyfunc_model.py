"""The pyfunc that MLflow stores with every trained model ("models from code")."""

from pathlib import Path

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel


class FeatureModel(PythonModel):
    """Images uint8 [N, H, W, 3] -> L2-normalised features float32 [N, D].

    A model that holds a feature of each identity takes 0-based labels int64 [N] in place of images.
    """

    def load_context(self, context) -> None:
        from reanchor.methods.embedders import load_embedder
        from reanchor.methods.method import code

        folder, table = Path(context.artifacts["folder"]), context.model_config.get("table")
        self._table = code(table)(folder).numpy() if table else None
        self._embedder = None if table else load_embedder(folder, "cpu")

    def predict(self, context, model_input: np.ndarray, params: dict | None = None) -> np.ndarray:
        if self._table is not None:
            return self._table[model_input]
        cameras = np.ones(len(model_input), dtype=np.int64)
        return self._embedder.embed(model_input, cameras).features


mlflow.models.set_model(FeatureModel())
