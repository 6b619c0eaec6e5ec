"""Weight files that torch reads: the same tensors, without torch's unpickler and without TorchScript's interpreter."""

import collections
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from reanchor.errors import ReanchorError
from reanchor.weight_files.read import read_state

FORMS = {"zip": True, "legacy": False}


def read(path):
    return read_state(path, "backbone.path", "weights")


def written(content, path, form="zip"):
    torch.save(content, path, _use_new_zipfile_serialization=FORMS[form])
    return path


def assert_same(found: dict, want: dict) -> None:
    assert found.keys() == want.keys()
    for name, value in want.items():
        value = torch.as_tensor(value)
        assert found[name].dtype == value.dtype and found[name].shape == value.shape, name
        assert torch.equal(found[name].view(torch.uint8) if value.dtype.itemsize == 1 else found[name],
                           value.view(torch.uint8) if value.dtype.itemsize == 1 else value), name


def every_kind() -> dict:
    """Numbers of every type, and every way in which a tensor lies in its storage."""
    draw = torch.Generator().manual_seed(0)
    block = torch.randn(6, 8, generator=draw)
    state = {str(dtype): (block * 50).to(dtype) for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
        torch.uint8, torch.bool, torch.complex64, torch.complex128)}
    return state | {"block": block, "tied": block, "slice": block[2:5, 1:7:2], "transposed": block.T,
                    "column": block[:, 3], "scalar": torch.tensor(112), "empty": torch.empty(0, 3),
                    "repeated": torch.ones(1).expand(4), "parameter": nn.Parameter(block[1].clone()),
                    "steps": 5, "rate": 0.5, "flag": True}


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_tensor_is_read_as_torch_reads_it(tmp_path, form):
    path = written(every_kind(), tmp_path / "x.pt", form)
    found, want = read(path), torch.load(path, weights_only=True)
    assert_same(found, want)
    assert found["transposed"].stride() == (1, 8) and found["column"].storage_offset() == 3
    assert found["tied"].data_ptr() == found["block"].data_ptr()


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2])
def test_later_types_name_themselves_beside_raw_storages(tmp_path, dtype):
    want = {"whole": torch.arange(6).to(dtype), "part": torch.arange(6).to(dtype)[2:5]}
    assert_same(read(written(want, tmp_path / "x.pt")), want)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_what_lies_beside_a_state_dict_is_left_alone(tmp_path, form, wrapper):
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    beside = {"optimizer": optimizer.state_dict(), "epoch": 60, "best": None, "names": {"a", "b"}, "seen": (1, [2.5]),
              "count": collections.Counter("aab"), "device": torch.device("cpu"), "size": torch.Size([3, 4]),
              "dtype": torch.float16, "wave": 1 + 2j, "bytes": bytearray(b"ab"), (1, 2): {(3, 4): 5, 2**70: 6},
              "sparse": torch.eye(2).to_sparse(), "shape": torch.empty(2, device="meta")}
    path = written({wrapper: network.state_dict(), **beside}, tmp_path / "x.pt", form)
    torch.load(path, weights_only=True)
    assert_same(read(path), dict(network.state_dict()))


def test_attributes_of_tensors_are_not_read(tmp_path):
    state = {"parameter": nn.Parameter(torch.ones(2)), "buffer": torch.ones(3), "ordered": torch.ones(4)}
    state["parameter"].kind, state["buffer"].kind = "a", {"b": 1}
    content = collections.OrderedDict(state)
    content._metadata = {"": {"version": 1}}
    assert_same(read(written(content, tmp_path / "x.pt")), {name: value.detach() for name, value in state.items()})


def test_the_prefix_of_data_parallel_is_taken_off(tmp_path):
    path = written({"model": {"module.a": torch.ones(2), "b.module.c": torch.zeros(1)}}, tmp_path / "x.pt")
    assert_same(read(path), {"a": torch.ones(2), "b.module.c": torch.zeros(1)})


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.int64, torch.uint8, torch.complex64])
def test_numbers_of_the_other_byte_order_are_turned(tmp_path, dtype):
    want = {"w": torch.arange(5).to(dtype)}
    source, path = written(want, tmp_path / "little.pt"), tmp_path / "big.pt"
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("/data/0"):
                width = dtype.itemsize // (2 if dtype.is_complex else 1)
                content = b"".join(content[i:i + width][::-1] for i in range(0, len(content), width))
            new.writestr(name, b"big" if name.endswith("byteorder") else content)
    assert_same(read(path), want)


class Attention(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.randn(3 * width, width))
        self.out = nn.Linear(width, width)
        self.register_buffer("mask", torch.zeros(2, 2), persistent=False)

    def forward(self, x):
        return self.out(x @ self.in_proj_weight.T[:, :x.shape[1]]) + self.mask.sum()


class SmallClip(nn.Module):
    """Nested, with one module under two names, absent biases, and OpenAI's three scalars."""

    def __init__(self):
        super().__init__()
        self.visual = nn.Sequential(nn.Linear(4, 4, bias=False), Attention(4), nn.BatchNorm1d(4))
        self.again = self.visual[1]
        self.logit_scale = nn.Parameter(torch.tensor(4.6))
        self.sizes = [1, 2]
        self.note = "text"
        for name, value in (("input_resolution", 112), ("context_length", 77), ("vocab_size", 49408)):
            self.register_buffer(name, torch.tensor(value))

    def forward(self, x):
        return self.again(self.visual(x)) * self.logit_scale.exp()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("how", ["script", "trace"])
def test_torchscript_gives_the_names_and_numbers_of_its_state_dict(tmp_path, how, dtype):
    torch.manual_seed(0)
    network = SmallClip().eval().to(dtype)
    archive = torch.jit.script(network) if how == "script" else torch.jit.trace(network, torch.ones(2, 4, dtype=dtype))
    path = tmp_path / "x.pt"
    torch.jit.save(archive, path)
    want = dict(torch.jit.load(path).state_dict())
    assert {"visual.1.mask", "again.out.bias", "vocab_size", "visual.2.num_batches_tracked"} <= want.keys()
    assert_same(read(path), want)


@pytest.mark.parametrize("form", FORMS)
def test_a_tensor_may_end_where_its_storage_ends(tmp_path, form):
    block = torch.arange(12.0)
    path = written({"last": block[8:], "column": block.view(3, 4)[:, 3]}, tmp_path / "x.pt", form)
    assert read(path)["last"].tolist() == [8, 9, 10, 11] and read(path)["column"].tolist() == [3, 7, 11]


def test_suffix_and_content_decide_the_format(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(written({"a": torch.ones(1)}, tmp_path / "x.pt").read_bytes())
    with pytest.raises(ReanchorError, match=r"backbone.path: .*x.safetensors is no readable checkpoint"):
        read(tmp_path / "x.safetensors")


@pytest.mark.parametrize("name", ["x.safetensors", "x.pt"])
def test_a_prefix_is_taken_off_but_not_where_names_meet(tmp_path, name):
    write = save_file if name.endswith("safetensors") else torch.save
    write({"module.a": torch.ones(2), "b": torch.zeros(2)}, tmp_path / name)
    assert read(tmp_path / name).keys() == {"a", "b"}
    write({"module.a": torch.ones(2), "a": torch.zeros(2)}, tmp_path / name)
    with pytest.raises(ReanchorError, match=r"it holds tensors with and without 'module\.'"):
        read(tmp_path / name)
