"""Which code loads a model folder, by the kind that its model.json tells."""

from pathlib import Path

from reanchor.errors import ReanchorError
from reanchor.formats.model_folder import read_model_json
from reanchor.methods.registry import methods

LACKS = {"embed": "has no single feature of an image", "search": "reads no sentences"}
INSTEAD = {"embed": "search with reanchor.methods.searchers.load_searcher",
           "search": "embed images with reanchor.methods.embedders.load_embedder"}


def loader_of(folder: Path, use: str) -> str:
    """The dotted path that loads a folder's model for this use: "embed" or "search".

    Raises:
        ReanchorError: no model there, or one of a kind that cannot be used so.
    """
    kind = read_model_json(folder)["kind"]
    known = {method.kind: getattr(method, use) for method in methods().values() if method.kind}
    if path := known.get(kind):
        return path
    why = LACKS[use] if kind in known else "is unknown"
    raise ReanchorError(f"{folder}: a model of kind '{kind}' {why}; allowed are "
                        f"{', '.join(each for each, path in known.items() if path)}: give such a folder, or "
                        f"{INSTEAD[use]}")
