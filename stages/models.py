"""Model folders as MLflow pyfuncs: code by reference, weights in safetensors, a tensor signature."""

import importlib.metadata
import logging
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
_CODE = {"prompts": "pyfunc_prompts.py", **dict.fromkeys(("clip_tuned", "sdm", "tbps_clip"), "pyfunc_text.py")}
_REQUIREMENTS = ("numpy", "torch", "open_clip_torch", "safetensors", "omegaconf", "pyarrow", "pillow")


def log_pyfunc(run_id: str, folder: Path, name: str) -> None:
    """Log `folder` under the run: images uint8 [N, H, W, 3] in, L2-normalised features float32 [N, D] out.

    Text-based models give images' features in the joint space. Learned prompts take identity labels int64 [N] and
    give their text features float32 [N, E].
    """
    import mlflow

    warnings.filterwarnings("ignore", message=".*input example was not provided")  # the signature is given
    for quiet in ("mlflow.pyfunc", "mlflow.models.model", "mlflow.utils.environment"):
        logging.getLogger(quiet).setLevel(logging.ERROR)
    with mlflow.start_run(run_id=run_id):
        mlflow.pyfunc.log_model(
            name=name, python_model=str(HERE / _CODE.get(name, "pyfunc_model.py")),
            artifacts={"folder": folder.absolute().as_uri()}, code_paths=[str(HERE.parent / "reanchor")],
            signature=_signature(name), pip_requirements=_requirements())  # given: inferring them loads the model
    mlflow.MlflowClient().update_run(run_id, status="RUNNING")  # its figures are still to come


def _signature(name: str):
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    inputs = TensorSpec(np.dtype("uint8"), (-1, -1, -1, 3), name=None)
    if name == "prompts":
        inputs = TensorSpec(np.dtype("int64"), (-1,), name=None)
    features = TensorSpec(np.dtype("float32"), (-1, -1), name=None)
    return ModelSignature(inputs=Schema([inputs]), outputs=Schema([features]))


def _requirements() -> list[str]:
    return [f"{name}=={importlib.metadata.version(name)}" for name in _REQUIREMENTS]
