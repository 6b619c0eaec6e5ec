"""The method of text-based search in a folder, whatever its kind."""

from pathlib import Path

from reanchor.clip.model import Clip
from reanchor.errors import ReanchorError
from reanchor.formats.model_folder import read_model_json
from reanchor.formats.searcher import Searcher
from reanchor.text.towers import DualEncoder, DualSearcher, read_dual
from reanchor.training.device import choose_device

KINDS = ("clip", "text", "mgcc")


def load_searcher(folder: Path, device: str = "cpu") -> Searcher:
    """A backbone as it comes ("zero_shot"), a pair of trained towers, or MGCC.

    Raises:
        ReanchorError: the folder holds no model, or one that reads no sentences.
    """
    kind, device = read_model_json(folder)["kind"], choose_device(device)
    if kind == "clip":
        clip = Clip.load(folder)
        return DualSearcher("zero_shot", DualEncoder(clip).to(device).eval(), clip.spec)
    if kind == "text":
        model, spec, name = read_dual(folder)
        return DualSearcher(name, model.to(device).eval(), spec)
    if kind == "mgcc":
        from reanchor.methods.mgcc.store import load_mgcc

        return load_mgcc(folder, device)
    raise ReanchorError(f"{folder}: a model of kind '{kind}' reads no sentences; allowed are {', '.join(KINDS)}: give "
                        "a backbone, or a model of the stages tbps and mgcc")
