"""The pyfunc that MLflow stores with learned prompts ("models from code")."""

from pathlib import Path

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel


class PromptModel(PythonModel):
    """Identity labels int64 [N] (0-based) -> their text features float32 [N, E]."""

    def load_context(self, context) -> None:
        from reanchor.methods.clip_reid.prompts import read_text_features

        self._features = read_text_features(Path(context.artifacts["folder"])).numpy()

    def predict(self, context, model_input: np.ndarray, params: dict | None = None) -> np.ndarray:
        return self._features[model_input]


mlflow.models.set_model(PromptModel())
