"""One thin file per DVC stage: settings and folders in, a library call, metrics out."""

import os

# Nobody is told what is run here. Read when mlflow and huggingface_hub are imported, so set before; yours win.
for _variable in ("MLFLOW_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_variable, "true")
