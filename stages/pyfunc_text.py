"""The pyfunc that MLflow stores with text-based models of two features ("models from code")."""

from pathlib import Path

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel


class JointFeatureModel(PythonModel):
    """Images uint8 [N, H, W, 3] -> L2-normalised features float32 [N, E] in the space that sentences share."""

    def load_context(self, context) -> None:
        from reanchor.text.load import load_searcher

        self._searcher = load_searcher(Path(context.artifacts["folder"]), "cpu")

    def predict(self, context, model_input: np.ndarray, params: dict | None = None) -> np.ndarray:
        return self._searcher.images(model_input)["feature"].numpy()


mlflow.models.set_model(JointFeatureModel())
