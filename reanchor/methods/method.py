"""The record of a method: all that the rest of the house knows of it."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

IMAGE, SENTENCE = "image", "sentence"  # what a query may be


@dataclass(frozen=True)
class Method:
    """One method, or a part of one that is trained by itself and judged as part of others (CLIP-ReID's prompts).

    A method lives in `reanchor/methods/FAMILY/`, whose `method.py` lists its records as METHODS. Code is named by
    dotted path ("package.module:function"), so that listing methods imports none of it.
    """

    name: str  # one word for it: in settings, tables, folders, stages and runs
    title: str  # for people
    place: int  # its row in tables, from the top
    queries: tuple[str, ...] = ()  # IMAGE, SENTENCE: what it is judged by
    stage: str = ""  # the DVC stage that makes its model; empty: it has none
    folder: str = ""  # of its model; empty: models/<stage>
    schema: str = ""  # module of its family's SECTIONS of params.yaml, and of the RULES that bind their settings
    settings: tuple[str, ...] = ()  # sections of params.yaml that shape its model
    reads: tuple[str, ...] = ()  # files and folders that its training reads; ${setting} is filled in
    switch: str = ""  # the setting that says whether it is trained
    seed: str = ""  # the setting that seeds its training
    curve: str = "loss"  # the column of its training curve that is drawn
    ranks: bool = False  # several processes of torchrun share its batches
    global_pooling: bool = False  # the plain [CLS] that leads are told against
    occlusion: bool = False  # made for occlusion: the report tells its leads over global pooling
    kind: str = ""  # of its model.json
    held_out: bool = False  # its training chooses on validation identities, always
    features: tuple[str, ...] = ()  # further features of the same pass, for `evaluate.features` to choose from
    train: str = ""  # (name, params, root, out, recorder) -> figures; may raise Skipped
    embed: str = ""  # (folder, device, features, variant) -> Embedder, of every model of its kind
    search: str = ""  # (folder, device) -> Searcher, the same
    table: str = ""  # (folder) -> a feature of each identity label [N, E], where that is what the model holds
    check: str = ""  # (params, root): raises ReanchorError where what its settings name is not there
    parents: str = ""  # (params) -> folders of the weights it starts from; empty: all models among `reads`
    variants: dict[str, str] = field(default_factory=dict)  # rows of the same pass: suffix -> title

    @property
    def model(self) -> str:
        """The folder of its model, relative to the workspace; empty where it has none."""
        return self.folder or (f"models/{self.stage}" if self.stage else "")


def code(path: str) -> Callable[..., Any]:
    """The function that a dotted path names."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
