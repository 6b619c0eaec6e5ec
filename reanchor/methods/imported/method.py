"""What the house knows of a model from elsewhere."""

from reanchor.methods.method import IMAGE, Method

METHODS = (
    Method("imported", "Imported model", place=60, queries=(IMAGE,), stage="imported", settings=("imported",),
           reads=("${imported.path}",), curve="", check="reanchor.methods.imported.inputs:require_source",
           features="features", train="reanchor.methods.imported.run:make"),
)
