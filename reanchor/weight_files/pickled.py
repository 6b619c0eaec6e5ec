"""A pickle of torch's, interpreted without Python's unpickler: no class is made, no function is called.

Known are the instructions that `torch.save` and TorchScript write; a name outside the tables below is refused.
Every instruction costs a bounded amount of time and memory, and their number is bounded.
"""

import pickletools
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import torch

from reanchor.weight_files.records import Global, Module, Storage, Unread, View

MOST_BYTES = 32 * 2**20  # of a pickle; a checkpoint of 10,000 tensors takes 2 MB
MOST_STEPS = 1_000_000  # about 40 to a tensor
CODE = "it holds code or objects beside tensors, or is damaged; nothing of it was run"
SCRIPT = "__torch__."  # how TorchScript names its own classes

_TYPES = {"Double": torch.float64, "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16,
          "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
          "Bool": torch.bool, "ComplexFloat": torch.complex64, "ComplexDouble": torch.complex128}
STORAGES = {f"{place}.{name}Storage": dtype for name, dtype in _TYPES.items() for place in ("torch", "torch.cuda")}
STORAGES |= {"torch.UntypedStorage": torch.uint8, "torch.storage.UntypedStorage": torch.uint8}
# A name of the file's is never looked up on torch itself, which would import modules for some.
DTYPES = {f"torch.{name}": value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
# Objects that may lie beside tensors (an optimizer's, a counter), or are no plain tensors: accepted, and left alone.
UNREAD = {
    "_codecs.encode", "builtins.bytearray", "builtins.complex", "builtins.set", "collections.Counter", "torch.device",
    "torch.Tensor", "torch.serialization._get_layout", "torch.storage.TypedStorage",
    *(f"torch.{name}Storage" for name in ("QInt32", "QInt8", "QUInt2x4", "QUInt4x2", "QUInt8")),
    *(f"torch.per_{name}" for name in ("channel_affine", "channel_affine_float_qparams", "channel_symmetric",
                                       "tensor_affine", "tensor_symmetric")),
    *(f"torch._utils._rebuild_{name}" for name in ("device_tensor_from_cpu_tensor", "device_tensor_from_numpy",
                                                   "meta_tensor_no_storage", "qtensor", "sparse_tensor",
                                                   "wrapper_subclass")),
    *(f"torch.jit._pickle.{name}" for name in ("build_boollist", "build_complexlist", "build_doublelist",
                                               "build_intlist", "build_tensorlist", "restore_type_tag")),
}


def interpret(stream: BinaryIO, storages: dict[str, Storage] | None = None) -> object:
    """One pickle off `stream`, up to its end, as records.

    Args:
        storages: takes every storage that it names, by key.

    Raises:
        ValueError: it names something else than tensors, is damaged, or has more instructions than weights need.
    """
    machine = _Machine({} if storages is None else storages)
    try:
        for opcode, value, _ in pickletools.genops(stream):
            machine.pay(1)
            if opcode.name not in _STEPS:
                raise ValueError(CODE)
            _STEPS[opcode.name](machine, value)
        return machine.stack.pop()
    except (IndexError, KeyError, TypeError, AttributeError) as error:  # instructions that do not fit each other
        raise ValueError(CODE) from error


class _Machine:
    """Stack, marks and memo, as pickle's documentation has them."""

    def __init__(self, storages: dict[str, Storage]):
        self.storages = storages
        self.stack: list = []
        self.marks: list[list] = []
        self.memo: dict[int, object] = {}
        self.left = MOST_STEPS

    def pay(self, steps: int) -> None:
        """Count work; a memo lets few bytes ask for much of it."""
        self.left -= steps
        if self.left < 0:
            raise ValueError(f"its pickle has more than {MOST_STEPS} instructions, which no weights need")

    def push(self, value: object) -> None:
        self.stack.append(value)

    def mark(self, _: None) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def since_mark(self) -> list:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def put(self, number: int) -> None:
        self.memo[number] = self.stack[-1]

    def get(self, number: int) -> None:
        self.stack.append(self.memo[number])

    def last(self, count: int) -> tuple:
        """Take `count` values off the stack."""
        if len(self.stack) < count:
            raise IndexError
        items = tuple(self.stack[-count:])
        del self.stack[-count:]
        return items

    def extend(self, items: Sequence) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif not isinstance(target, Unread):
            raise TypeError

    def update(self, items: Sequence) -> None:
        """Put key, value, key, value ... into the dictionary on top."""
        target = self.stack[-1]
        if isinstance(target, dict):
            for key, value in zip(items[::2], items[1::2], strict=True):
                target[_hashable(key)] = value
        elif not isinstance(target, Unread):
            raise TypeError

    def global_(self, name: str) -> None:
        name = name.replace(" ", ".", 1).replace("__builtin__.", "builtins.", 1)
        if name not in UNREAD and name not in STORAGES and name not in _CALLS and not name.startswith(SCRIPT) \
                and name not in DTYPES:
            raise ValueError(f"{CODE}: {name[:60]}")
        self.stack.append(Global(name))

    def new(self, _: None) -> None:
        made, arguments = self.last(2)
        self.stack.append(Module() if made.name.startswith(SCRIPT) else _call(self, made, arguments))

    def reduce(self, _: None) -> None:
        function, arguments = self.last(2)
        self.stack.append(_call(self, function, arguments))

    def build(self, _: None) -> None:
        """Give an object its state: a module's attributes. What else torch sets so (`_metadata`) is not read."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Module):
            target.attributes = state if isinstance(state, dict) else None

    def persistent(self, _: None) -> None:
        """A storage: ("storage", type, key, device, numbers), and for old files a view of it."""
        given = self.stack.pop()
        if not isinstance(given, tuple) or len(given) not in (5, 6):
            raise TypeError
        kind, made, key, _, numel = given[:5]
        if kind != "storage" or not isinstance(key, str) or type(numel) is not int or numel < 0 \
                or given[5:] not in ((), (None,)):
            raise ValueError(CODE)
        dtype = STORAGES.get(made.name)
        if dtype is None:
            self.stack.append(Unread("a storage of another kind"))
        else:
            self.stack.append(self.storages.setdefault(key, Storage(key, dtype, numel)))


def _hashable(key: object) -> object:
    """A string or a number of 64 bits; tuples may take for ever to hash, larger numbers all have one hash."""
    plain = isinstance(key, str) or (isinstance(key, int) and key.bit_length() <= 64)
    return key if plain else Unread("a key")


def _call(machine: _Machine, function: Global, arguments: tuple) -> object:
    if function.name not in _CALLS:
        return Unread(function.name)
    machine.pay(len(_tuple(arguments)))
    return _CALLS[function.name](machine, *arguments)


def _dictionary(machine: _Machine, pairs: list | tuple = ()) -> dict:
    machine.pay(len(pairs))
    return {_hashable(key): value for key, value in pairs}


def _view(_: _Machine, storage: object, offset: int, size: tuple, stride: tuple, *more: object) -> View | Unread:
    """`more`: requires_grad, hooks, and where the numbers are to be conjugated or negated that."""
    if not isinstance(storage, Storage) or (len(more) > 2 and more[2]):
        return Unread("a tensor of another kind")
    return View(storage, storage.dtype, offset, _tuple(size), _tuple(stride))


def _typed_view(_: _Machine, storage: object, offset: int, size: tuple, stride: tuple, grad: object, hooks: object,
                dtype: Global, *more: object) -> View | Unread:
    """Of the types that have no storage of their own name."""
    found = DTYPES.get(dtype.name)
    if not isinstance(storage, Storage) or found is None:
        return Unread("a tensor of another kind")
    return View(storage, found, offset, _tuple(size), _tuple(stride))


def _tuple(value: object) -> tuple:
    if not isinstance(value, tuple):
        raise TypeError
    return value


def _first(_: _Machine, data: object, *more: object) -> object:
    """A parameter is its tensor."""
    return data


def _with_type(machine: _Machine, function: Global, _: Global, arguments: tuple, state: object) -> object:
    """A tensor that carries Python attributes, which are not read."""
    if _CALLS.get(function.name) is _with_type:
        raise TypeError
    return _call(machine, function, arguments)


_CALLS: dict[str, Callable[..., object]] = {
    "collections.OrderedDict": _dictionary,
    "torch.Size": lambda _, sizes=(): _tuple(sizes),
    "torch._utils._rebuild_tensor": _view,
    "torch._utils._rebuild_tensor_v2": _view,
    "torch._utils._rebuild_tensor_v3": _typed_view,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch.nn.parameter.Parameter": _first,
    "torch._tensor._rebuild_from_type_v2": _with_type,
}

_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "PROTO": lambda machine, value: None,
    "STOP": lambda machine, value: None,
    "GLOBAL": _Machine.global_, "NEWOBJ": _Machine.new, "REDUCE": _Machine.reduce, "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent, "MARK": _Machine.mark,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.put), **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.get),
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"),
                    _Machine.push),
    "NONE": lambda machine, value: machine.push(None),
    "NEWTRUE": lambda machine, value: machine.push(True),
    "NEWFALSE": lambda machine, value: machine.push(False),
    "EMPTY_DICT": lambda machine, value: machine.push({}),
    "EMPTY_LIST": lambda machine, value: machine.push([]),
    "EMPTY_TUPLE": lambda machine, value: machine.push(()),
    "TUPLE": lambda machine, value: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, value: machine.push(machine.last(1)),
    "TUPLE2": lambda machine, value: machine.push(machine.last(2)),
    "TUPLE3": lambda machine, value: machine.push(machine.last(3)),
    "APPEND": lambda machine, value: machine.extend(machine.last(1)),
    "APPENDS": lambda machine, value: machine.extend(machine.since_mark()),
    "SETITEM": lambda machine, value: machine.update(machine.last(2)),
    "SETITEMS": lambda machine, value: machine.update(machine.since_mark()),
}
