"""Whether a checkpoint's content can be put into a training: names and shapes, before anything is overwritten."""

import torch
from torch import Tensor


def fits(saved: dict, own: dict) -> bool:
    """Whether `saved` can replace `own`, what the training would save before its first step."""
    try:
        return (saved.keys() == own.keys() and saved["state"].keys() == own["state"].keys()
                and _shapes(saved["module"]) == _shapes(own["module"])
                and (saved["best"] is None or _shapes(saved["best"]) == _shapes(own["module"]))
                and all(saved[name].shape == own[name].shape for name in ("generator", "global_generator"))
                and _optimizer_fits(saved["optimizer"], own["optimizer"], own["module"]))
    except (AttributeError, KeyError, TypeError):  # other kinds of values
        return False


def _shapes(named: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in named.items()}


def _optimizer_fits(saved: dict, own: dict, module: dict[str, Tensor]) -> bool:
    """An optimiser tells its groups, yet not the shapes of its weights: they are among the module's."""
    known = {torch.Size(), *(value.shape for value in module.values())}
    groups = [[(group.keys(), group["params"]) for group in each["param_groups"]] for each in (saved, own)]
    held = [value for entry in saved["state"].values() for value in entry.values() if isinstance(value, Tensor)]
    return groups[0] == groups[1] and all(value.shape in known for value in held)
