"""State dicts of TorchScript modules: tensors by the attributes that lead to them."""

from reanchor.weight_files.names import LONGEST_NAME, MOST_NAMES
from reanchor.weight_files.records import Module, View

MOST_MODULES, DEEPEST = 100_000, 64


def state_of(root: Module) -> dict[str, View]:
    """Parameters and buffers by the names that `torch.jit.load(...).state_dict()` gives them, and other tensors.

    Only a module's code says which attribute is a buffer, so any tensor attribute counts as one.
    A module that several attributes share is listed under each, so a few modules can have names without end.

    Raises:
        ValueError: a module's attributes are its code's secret, or there are more than weights have.
    """
    found: dict[str, View] = {}
    waiting, seen = [("", root, 0)], 0
    while waiting:
        path, module, depth = waiting.pop()
        if module.attributes is None:
            raise ValueError(f"its module {path[:80] or 'at the root'} has a state that only its code could restore")
        seen += len(module.attributes)
        if seen > MOST_MODULES + MOST_NAMES or depth > DEEPEST:
            raise ValueError("its modules contain each other, or are too many")
        for name, value in module.attributes.items():
            if not isinstance(name, str) or len(path) + len(name) > LONGEST_NAME:
                raise ValueError("its modules bear names that no module has")
            if isinstance(value, View):
                found[f"{path}{name}"] = value
            elif isinstance(value, Module):
                waiting.append((f"{path}{name}.", value, depth + 1))
    return found
