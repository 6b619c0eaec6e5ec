"""What the house knows of a model from elsewhere."""

from reanchor.methods.clip_reid.method import FEATURES
from reanchor.methods.method import IMAGE, Method

METHODS = (
    Method("imported", "Imported model", place=60, queries=(IMAGE,), stage="imported",
           schema="reanchor.methods.imported.settings", settings=("imported",),
           reads=("${imported.path}",), curve="", features=FEATURES,
           check="reanchor.methods.imported.inputs:require_source", train="reanchor.methods.imported.run:make"),
)
