"""Weight files that would run code, never end, or fill memory in a reader that believes them."""

import copy
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

DOORSTEP = "ran"  # the file that a hostile file's code would write, beside it
_TENSOR = (b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0%dX\x03\0\0\0cpu%s"
           b"tQ%s(%st(%st\x89ccollections\nOrderedDict\n)RtR")


def tensor_pickle(numel: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, key: int = 0) -> bytes:
    """A tensor of float32 as torch pickles it, whatever it claims."""
    return _TENSOR % (key, _integer(numel), _integer(offset), b"".join(map(_integer, size)),
                      b"".join(map(_integer, stride)))


def dictionary_pickle(entries: dict[str, bytes]) -> bytes:
    """{name: pickled value}, a whole pickle."""
    return b"\x80\x02}(" + b"".join(_text(name) + value for name, value in entries.items()) + b"u."


def write_archive(path: Path, content: bytes, storages: dict[str, bytes]) -> Path:
    """torch's layout around a pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        for key, numbers in storages.items():
            archive.writestr(f"archive/data/{key}", numbers)
    return path


def _integer(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


class _Writes(nn.Module):
    """Writes a file as soon as torch rebuilds it."""

    def __init__(self, path: str):
        super().__init__()
        self.path = path
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x

    @torch.jit.export
    def __getstate__(self):
        return (self.path, self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[str, torch.Tensor, bool]):
        torch.save(state[1], state[0])
        self.path = state[0]
        self.weight = state[1]
        self.training = state[2]


class _NeverEnds(nn.Module):
    """Counts for ever as soon as torch rebuilds it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x

    @torch.jit.export
    def __getstate__(self):
        return (self.weight, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, bool]):
        turn = 0
        while turn >= 0:
            turn = (turn + 1) % 1000
        self.weight = state[0]
        self.training = state[1]


def script_that_writes(path: Path) -> None:
    torch.jit.save(torch.jit.script(_Writes(str(path.parent / DOORSTEP))), path)


def script_that_never_ends(path: Path) -> None:
    torch.jit.save(torch.jit.script(_NeverEnds()), path)


def script_cycle(path: Path) -> None:
    """A module that is its own child."""
    write_archive(path, b"\x80\x02c__torch__\nM\n)\x81q\0}(" + _text("child") + b"h\0ub.", {})


def script_family(path: Path) -> None:
    """Forty modules, each twice the child of the next: 2^40 names."""
    content = b"\x80\x02c__torch__\nM\n)\x81}(" + _text("w") + tensor_pickle(1, (1,), (1,)) + b"ubq\0"
    for _ in range(40):
        content += b"c__torch__\nM\n)\x81}(" + _text("a") + b"h\0" + _text("b") + b"h\0ubq\0"
    write_archive(path, content + b".", {"0": bytes(4)})


class _Runs:
    """Pickled as a call of os.system."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def pickle_with_code(path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.ones(2), "more": _Runs(f"touch '{path.parent / DOORSTEP}'")}}, path)


def legacy_with_code(path: Path) -> None:
    torch.save({"weight": torch.ones(2), "more": _Runs(f"touch '{path.parent / DOORSTEP}'")}, path,
               _use_new_zipfile_serialization=False)


def bare_pickle_with_code(path: Path) -> None:
    path.write_bytes(pickle.dumps(_Runs(f"touch '{path.parent / DOORSTEP}'")))


def stride_0(path: Path) -> None:
    """Four bytes seen as four terabytes."""
    torch.save({"weight": torch.zeros(1).expand(10**6, 10**6)}, path)


def meta(path: Path) -> None:
    torch.save({"weight": torch.empty(10**6, 10**6, device="meta")}, path)


def beyond_its_storage(path: Path) -> None:
    write_archive(path, dictionary_pickle({"weight": tensor_pickle(2**40, (2**20, 2**20), (2**20, 1))}),
                  {"0": bytes(4)})


def many_names(path: Path) -> None:
    """Ten thousand tensors of one megabyte, all of them the same bytes."""
    block = torch.zeros(2**19, dtype=torch.float16)
    torch.save({f"weight{number}": block for number in range(10_000)}, path)


def deflated(path: Path) -> None:
    """2.5 GB of zeros that take a thousandth of their room."""
    pieces, packer = 160, zlib.compressobj(wbits=-15)
    piece = packer.compress(bytes(2**24)) + packer.flush(zlib.Z_FULL_FLUSH)
    size = pieces * 2**24
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", dictionary_pickle({"w": tensor_pickle(size // 4, (size // 4,), (1,))}))
        archive.writestr("archive/data/0", piece * pieces + packer.flush())
        archive.filelist[-1].compress_type, archive.filelist[-1].file_size = zipfile.ZIP_DEFLATED, size


def overlapping(path: Path) -> None:
    """Five thousand storages of one megabyte that are the same bytes of the file."""
    names = [f"{number:04}" for number in range(5000)]
    one = 2**18
    content = dictionary_pickle({name: tensor_pickle(one, (one,), (1,), key=0).replace(
        b"X\x01\0\0\x000", _text(name)) for name in names})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/data/0000", bytes(one * 4))
        for name in names[1:]:
            archive.filelist.append(twin := copy.copy(archive.filelist[-1]))
            twin.filename = f"archive/data/{name}"


def crowded_directory(path: Path) -> None:
    """Its end claims a directory of 2 GB."""
    content = bytearray(write_archive(path, dictionary_pickle({}), {}).read_bytes())
    content[-10:-6] = struct.pack("<I", 2**31)
    path.write_bytes(content)


def hash_bomb(path: Path) -> None:
    """A tuple of two tuples of two tuples ... as a key: its hash takes 2^64 steps."""
    write_archive(path, b"\x80\x02})" + b"q\0h\0\x86" * 64 + b"K\x01s.", {})


def memo_bomb(path: Path) -> None:
    """A long list, turned into a dictionary again and again."""
    pairs = b"](" + b"K\x01K\x02\x86" * 100_000 + b"e\x85q\0"
    write_archive(path, b"\x80\x02" + pairs + b"](" + b"ccollections\nOrderedDict\nh\0R" * 100_000 + b"e.", {})


def long_pickle(path: Path) -> None:
    """Instructions without end."""
    write_archive(path, b"\x80\x02(" + b"N" * 30_000_000 + b"t.", {})


def legacy_lie(path: Path) -> None:
    """An old file of a terabyte that it does not hold."""
    numel = 2**38
    content = dictionary_pickle({"weight": tensor_pickle(numel, (numel,), (1,))})
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    path.write_bytes(b"".join([*parts, content, pickle.dumps(["0"], 2), struct.pack("<q", numel), bytes(64)]))


def truncated(path: Path) -> None:
    torch.save({"weight": torch.ones(2**16)}, path)
    path.write_bytes(path.read_bytes()[:2**17])


def safetensors_long_header(path: Path) -> None:
    """A header of 90 MB, below the library's own bound."""
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 90_000_000) + b"{}" + b" " * 89_999_998)


def safetensors_claimed_header(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")


def safetensors_claimed_shape(path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


def safetensors_empty_shape(path: Path) -> None:
    """No number, and a width of a billion."""
    save_file({"visual.proj": torch.empty(0, 10**9), "logit_scale": torch.ones(())}, path)


def claimed_architecture(vision: dict, path: Path) -> None:
    """A shipped file whose specification is not its tensors'."""
    architecture = {"embed_dim": 16, "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "layers": 1,
                                                    "head_width": 16} | vision,
                    "text_cfg": {"context_length": 8, "vocab_size": 8, "width": 32, "heads": 2, "layers": 1}}
    spec = {"architecture": architecture, "image_size": [32, 32], "mean": [0.5] * 3, "std": [0.5] * 3}
    save_file({"logit_scale": torch.ones(())}, path,
              {"spec": json.dumps(spec), "recipe": "{}", "figures": "{}"})


def claimed_width(path: Path) -> None:
    claimed_architecture({"width": 10**9}, path)


def claimed_layers(path: Path) -> None:
    claimed_architecture({"layers": 10**7}, path)


def claimed_download(path: Path) -> None:
    """A tower that open_clip would fetch from the internet."""
    claimed_architecture({"timm_model_name": "hf-hub:someone/something", "timm_model_pretrained": True}, path)


# By the file's name. Each is refused at every door.
HOSTILE: dict[str, Callable[[Path], None]] = {
    **{f"{make.__name__}.pt": make for make in (
        script_that_writes, script_that_never_ends, script_cycle, script_family, pickle_with_code, legacy_with_code,
        bare_pickle_with_code, stride_0, meta, beyond_its_storage, many_names, deflated, overlapping,
        crowded_directory, hash_bomb, memo_bomb, long_pickle, legacy_lie, truncated)},
    **{f"{make.__name__}.safetensors": make for make in (
        safetensors_long_header, safetensors_claimed_header, safetensors_claimed_shape, safetensors_empty_shape,
        claimed_width, claimed_layers, claimed_download)},
}


def make(name: str, folder: Path) -> Path:
    """Write one of `HOSTILE` into a folder."""
    path = folder / name
    HOSTILE[name](path)
    return path
