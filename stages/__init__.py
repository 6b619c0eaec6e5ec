"""One thin file per DVC stage: settings and folders in, a library call, metrics out."""

import os
import signal
import sys
import time

BEGAN = time.time()  # before any code that shapes a result is imported

# Nobody is told what is run here. Read when mlflow and huggingface_hub are imported, so set before; yours win.
for _variable in ("MLFLOW_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    os.environ.setdefault(_variable, "true")

# While Python looks for the module of `python -m stages.<name>` its name is "-m". From here to `run_stage`, torch is
# imported for seconds: a Ctrl-C ends that without the traceback of Python's own handler.
if sys.argv[:1] == ["-m"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
