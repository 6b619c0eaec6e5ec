"""Model folders as MLflow pyfuncs: code by reference, weights in safetensors, a tensor signature."""

import importlib.metadata
import json
import logging
import warnings
from pathlib import Path

from reanchor.methods.registry import of_stage

HERE = Path(__file__).resolve().parent
_REQUIREMENTS = ("numpy", "torch", "open_clip_torch", "safetensors", "omegaconf", "pyarrow", "pillow",
                 "psutil", "tqdm")  # what `reanchor.methods.embedders` imports


def log_pyfunc(run_id: str, folder: Path, name: str) -> None:
    """Log `folder` under the run: images uint8 [N, H, W, 3] in, L2-normalised features float32 [N, D] out.

    H and W are those that the model reads: MLflow refuses others. Text-based models give images' features in the joint
    space. Learned prompts take identity labels int64 [N] and give their text features float32 [N, E].
    """
    import mlflow

    warnings.filterwarnings("ignore", message=".*input example was not provided")  # the signature is given
    for quiet in ("mlflow.pyfunc", "mlflow.models.model", "mlflow.utils.environment"):
        logging.getLogger(quiet).setLevel(logging.ERROR)
    with mlflow.start_run(run_id=run_id):
        mlflow.pyfunc.log_model(
            name=name, python_model=str(HERE / "pyfunc_model.py"), model_config={"table": table_of(name)},
            artifacts={"folder": folder.absolute().as_uri()}, code_paths=[str(HERE.parent / "reanchor")],
            signature=_signature(name, folder),
            pip_requirements=_requirements())  # given: inferring them loads the model
    mlflow.MlflowClient().update_run(run_id, status="RUNNING")  # its figures are still to come


def table_of(name: str) -> str:
    """What reads the model of a stage as a table of features by identity label; empty: it embeds images."""
    method = of_stage(name)
    return method.table if method else ""


def _signature(name: str, folder: Path):
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    if table_of(name):
        inputs = TensorSpec(np.dtype("int64"), (-1,), name=None)
    else:
        size = json.loads((folder / "model.json").read_text())["spec"]["image_size"]
        inputs = TensorSpec(np.dtype("uint8"), (-1, *size, 3), name=None)
    features = TensorSpec(np.dtype("float32"), (-1, -1), name=None)
    return ModelSignature(inputs=Schema([inputs]), outputs=Schema([features]))


def _requirements() -> list[str]:
    return [f"{name}=={importlib.metadata.version(name)}" for name in _REQUIREMENTS]
