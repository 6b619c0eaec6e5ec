"""Weight files that would run code, never end or fill memory: refused in one line, from what they claim."""

import io
import pickle
import re
import tracemalloc
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.faults.hostile_weights import DOORSTEP, dictionary_pickle, make, tensor_pickle, write_archive
from reanchor.errors import ReanchorError
from reanchor.weight_files import archive, names, pickled, read, script
from reanchor.weight_files.read import read_state
from reanchor.weight_files.safe import read_metadata

pytestmark = pytest.mark.slow

CODE = "it holds code or objects beside tensors, or is damaged; nothing of it was run"
REASONS = {
    "script_that_writes.pt": "its module at the root has a state that only its code could restore",
    "script_that_never_ends.pt": "its module at the root has a state that only its code could restore",
    "script_cycle.pt": "its modules (contain each other|bear names)",
    "script_family.pt": "its modules contain each other, or are too many",
    "pickle_with_code.pt": f"{CODE}: posix.system",
    "legacy_with_code.pt": f"{CODE}: posix.system",
    "bare_pickle_with_code.pt": CODE,
    "stride_0.pt": "its tensors repeat the 4 bytes that it holds into 4000000000000",
    "meta.pt": "it holds more than plain tensors: weight",
    "beyond_its_storage.pt": "its part archive/data/0 has 4 bytes instead of 4398046511104",
    "many_names.pt": "its tensors repeat the 1048576 bytes that it holds into 20971520000",
    "deflated.pt": "its part 'archive/data/0' is compressed",
    "overlapping.pt": r"its part 'archive/data/\d+' shares bytes with another",
    "crowded_directory.pt": "its zip directory takes 2147483648 bytes; at most 8388608",
    "hash_bomb.pt": "it holds a dict and no names",
    "memo_bomb.pt": "its pickle has more than 20000 instructions",
    "long_pickle.pt": "its pickle has more than 20000 instructions",
    "legacy_lie.pt": "its storage '0' claims 274877906944 numbers that it does not hold",
    "truncated.pt": "its zip directory is cut off",
    "safetensors_claimed_header.safetensors": "its header claims 1152921504606846976 bytes; allowed: 16777216",
    "safetensors_claimed_shape.safetensors": "invalid shape, data type, or offset for tensor",
}
BOUND = 64 * 2**20
KIND, KEY, PLACE, TYPE = b"X\7\0\0\0storage", b"X\1\0\0\x000", b"X\3\0\0\0cpu", b"ctorch\nFloatStorage\n"


def refused(path, reason: str) -> str:
    with pytest.raises(ReanchorError, match=reason) as caught:
        read_state(path, "backbone.path", "weights")
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"backbone.path: {path} is no readable")
    return str(caught.value)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", REASONS)
def test_a_hostile_file_is_refused_and_nothing_of_it_runs(tmp_path, name, monkeypatch):
    if name in ("memo_bomb.pt", "long_pickle.pt"):
        monkeypatch.setattr(pickled, "MOST_STEPS", 20_000)
    monkeypatch.setattr(script, "MOST_MODULES", 1000)
    monkeypatch.setattr(script, "MOST_NAMES", 1000)
    path = make(name, tmp_path)
    if name in ("many_names.pt", "long_pickle.pt"):  # instructions themselves, not what they ask for
        refused(path, REASONS[name])
    else:
        tracemalloc.start()
        refused(path, REASONS[name])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < BOUND
    assert not (tmp_path / DOORSTEP).exists()


def test_the_codes_of_the_hostile_files_do_run_where_torch_or_pickle_reads_them(tmp_path):
    """Or the tests above would show nothing."""
    torch.jit.load(make("script_that_writes.pt", tmp_path))
    assert (tmp_path / DOORSTEP).is_file()
    (tmp_path / DOORSTEP).unlink()
    pickle.loads(make("bare_pickle_with_code.pt", tmp_path).read_bytes())
    assert (tmp_path / DOORSTEP).is_file()


@pytest.mark.parametrize("content", [
    b"\x80\x02cbuiltins\neval\n)R.", b"\x80\x02ctorch\nload\n)R.", b"\x80\x02ctorch.hub\nload\n)R.",
    b"\x80\x02ctorch\nfloat32.__class__\n)R.", b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(ctorch\nsave\n)RtR.",
    b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", b"(S'true'\nios\nsystem\n.", b"(cos\nsystem\nS'x'\no.",
    b"\x80\x02\x82\x01.", b"Pid\n.", b"\x80\x02X\x01\0\0\0aQ.", b"\x80\x02.", b"\x80\x02h\7.", b"\x80\x02}K\x01s.",
    b"\x80\x02K\x01K\x02R.", b"\x80\x02K\x01)\x81.", b"\x80\x02K\x01K\x02a.", b"\x80\x02t.",
])
def test_other_instructions_and_names_are_refused(tmp_path, content):
    refused(write_archive(tmp_path / "x.pt", content, {}), re.escape(CODE))


def storage(*parts: bytes) -> bytes:
    return b"\x80\x02}(X\1\0\0\0w(" + b"".join(parts) + b"tQu."


@pytest.mark.parametrize("content", [
    storage(KIND), storage(KIND, TYPE, KEY, PLACE, b"K\1N", b"N"), storage(KEY, TYPE, KEY, PLACE, b"K\1"),
    storage(KIND, KIND, KEY, PLACE, b"K\1"), storage(KIND, TYPE, b"K\1", PLACE, b"K\1"),
    storage(KIND, TYPE, KEY, PLACE, b"J\xff\xff\xff\xff"), storage(KIND, TYPE, KEY, PLACE, KEY),
    storage(KIND, TYPE, KEY, PLACE, b"K\1", b"(X\1\0\0\0vK\0K\1t"),
])
def test_storages_of_another_form_are_refused(tmp_path, content):
    refused(write_archive(tmp_path / "x.pt", content, {"0": bytes(4)}), re.escape(CODE))


@pytest.mark.parametrize("asked", [
    b"](" + b"K\1K\2\x86" * 1000 + b"e\x85q\0](" + b"ccollections\nOrderedDict\nh\0R" * 50 + b"e",
    b"(" + b"K\1" * 1000 + b"tq\0](" + b"ctorch._utils\n_rebuild_parameter\nh\0R" * 50 + b"e",
])
def test_repeated_use_of_one_long_value_counts_as_often_as_it_is_walked(asked, monkeypatch):
    monkeypatch.setattr(pickled, "MOST_STEPS", 40_000)
    with pytest.raises(ValueError, match="its pickle has more than 40000 instructions"):
        pickled.interpret(io.BytesIO(b"\x80\x02" + asked + b"."))


@pytest.mark.parametrize("tensor", [torch.ones(2, dtype=torch.complex64).conj().imag, torch.eye(2).to_sparse()])
def test_tensors_whose_storage_is_not_their_numbers_are_refused(tmp_path, tensor):
    torch.save({"w": tensor}, tmp_path / "x.pt")
    refused(tmp_path / "x.pt", "it holds more than plain tensors: w")


def module(*attributes: bytes) -> bytes:
    return b"c__torch__\nM\n)\x81}(" + b"".join(attributes) + b"ub"


def test_modules_lie_to_a_bounded_depth_under_names_of_bounded_length(tmp_path):
    name = b"X\1\0\0\0m"
    for depth, reads in ((64, True), (65, False)):
        content = module(name, tensor_pickle(1, (1,), (1,)))
        for _ in range(depth):
            content = module(name, content)
        path = write_archive(tmp_path / "x.pt", b"\x80\x02" + content + b".", {"0": bytes(4)})
        if reads:
            assert list(read_state(path, "x", "y")) == [".".join("m" * 65)]
        else:
            refused(path, "its modules contain each other, or are too many")
    for strange in (module(b"K\1", b"K\2"), module(b"X\x2d\1\0\0" + b"a" * 301, b"K\2")):
        refused(write_archive(tmp_path / "x.pt", b"\x80\x02" + strange + b".", {}), "its modules bear names")


def test_names_are_counted(tmp_path, monkeypatch):
    torch.save(dict.fromkeys("abc", torch.ones(1)), tmp_path / "x.pt")
    monkeypatch.setattr(names, "MOST_NAMES", 3)
    assert len(read_state(tmp_path / "x.pt", "x", "y")) == 3
    monkeypatch.setattr(names, "MOST_NAMES", 2)
    refused(tmp_path / "x.pt", "it names 3 tensors; at most 2 are read")


def test_a_pickle_is_measured_before_it_is_read(tmp_path, monkeypatch):
    torch.save({"w": torch.ones(1)}, tmp_path / "x.pt")
    monkeypatch.setattr(archive, "MOST_BYTES", 100)
    refused(tmp_path / "x.pt", r"its part 'x/data.pkl' has \d+ bytes; at most 100 are read")


def test_a_byte_order_that_there_is_not_is_refused(tmp_path):
    path = write_archive(tmp_path / "x.pt", dictionary_pickle({}), {})
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("archive/byteorder", "middle")
    refused(path, "its byte order is neither little nor big")


def from_type(arguments: bytes) -> bytes:
    return b"\x80\x02ctorch._tensor\n_rebuild_from_type_v2\n" + arguments + b"R."


@pytest.mark.parametrize("content", [
    from_type(b"(ctorch._tensor\n_rebuild_from_type_v2\nctorch\nTensor\n)Nt"),
    from_type(b"(ctorch._tensor\n_rebuild_from_type_v2\nctorch\nTensor\n("
              b"ctorch._utils\n_rebuild_parameter\nctorch\nTensor\nK\1\x85NtNt"),
    from_type(b"(ctorch._utils\n_rebuild_parameter\nctorch\nTensor\n]Nt"), from_type(b"]"),
    b"\x80\x02ctorch\nSize\n]\x85R.",
])
def test_arguments_that_torch_does_not_write_are_refused(tmp_path, content):
    refused(write_archive(tmp_path / "x.pt", content, {}), re.escape(CODE))


@pytest.mark.parametrize("key", [b"\x8a\x0a" + b"\1" * 10, b"K\1K\2\x86", b"N", b"G" + bytes(8)])
def test_keys_of_other_kinds_stay_apart_without_being_hashed(key):
    found = pickled.interpret(io.BytesIO(b"\x80\x02}(" + (key + b"K\5") * 3 + b"K\1K\6u."))
    assert list(found.values()) == [5, 5, 5, 6] and found[1] == 6


@pytest.mark.parametrize(("claims", "reason"), [
    ({"numel": 12, "size": (12,), "stride": (1,)}, None), ({"numel": 12, "size": (3, 4), "stride": (4, 1)}, None),
    ({"numel": 12, "size": (4,), "stride": (1,), "offset": 8}, None), ({"numel": 12, "size": (), "stride": ()}, None),
    ({"numel": 12, "size": (13,), "stride": (1,)}, "w reaches beyond its storage of 48 bytes"),
    ({"numel": 12, "size": (4,), "stride": (1,), "offset": 9}, "w reaches beyond its storage"),
    ({"numel": 12, "size": (2, 2), "stride": (11, 1)}, "w reaches beyond its storage"),
    ({"numel": 13, "size": (12,), "stride": (1,)}, "has 48 bytes instead of 52"),
    ({"numel": 11, "size": (2,), "stride": (1,)}, "has 48 bytes instead of 44"),
    ({"numel": 12, "size": (2, 2), "stride": (1,)}, "w has 2 sizes and 1 strides"),
    ({"numel": 12, "size": (2,), "stride": (-1,)}, "w has a size, stride or offset that no tensor has"),
    ({"numel": 12, "size": (-2,), "stride": (1,)}, "w has a size, stride or offset"),
    ({"numel": 12, "size": (2,), "stride": (1,), "offset": -1}, "w has a size, stride or offset"),
    ({"numel": 12, "size": (2**62, 0), "stride": (1, 1)}, "w has a size, stride or offset"),
    ({"numel": 12, "size": (1,) * 65, "stride": (1,) * 65}, "w has 65 sizes"),
    ({"numel": 12, "size": (2,), "stride": (1,), "key": 1}, "its part 'data/1' is missing"),
])
def test_a_tensor_lies_inside_its_storage(tmp_path, claims, reason):
    numbers = torch.arange(12.0)
    path = write_archive(tmp_path / "x.pt", dictionary_pickle({"w": tensor_pickle(**claims)}),
                         {"0": numbers.numpy().tobytes()})
    if reason:
        refused(path, reason)
    else:
        want = numbers.as_strided(claims["size"], claims["stride"], claims.get("offset", 0))
        assert torch.equal(read_state(path, "x", "y")["w"], want)


def test_numbers_may_be_shared_by_four_names_but_not_by_five(tmp_path, monkeypatch):
    monkeypatch.setattr(read, "FREE_BYTES", 0)
    half, whole = torch.ones(8, dtype=torch.float16), torch.ones(8)
    for block, shared, reason in ((whole, "abcd", None), (whole, "abcde", "repeat the 32 bytes that it holds into 160"),
                                  (half, "ab", None), (half, "abc", "repeat the 16 bytes that it holds into 96")):
        torch.save(dict.fromkeys(shared, block), tmp_path / "x.pt")
        if reason:
            refused(tmp_path / "x.pt", reason)
        else:
            assert len(read_state(tmp_path / "x.pt", "x", "y")) == len(shared)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(("called", "reads"), [("a" * 300, True), ("a" * 301, False), ("a\nb", False),
                                             ("\x1b[2J", False)])
def test_names_are_short_and_printable(tmp_path, suffix, called, reads):
    path = tmp_path / f"x{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)({called: torch.ones(1)}, path)
    if reads:
        assert list(read_state(path, "x", "y")) == [called]
    else:
        refused(path, "it holds a tensor of .* letters' name")


@pytest.mark.parametrize("part", ["data.pkl", "data/0", "byteorder"])
def test_every_part_that_is_read_has_to_match_its_checksum(tmp_path, part):
    torch.save({"w": torch.full((64,), 7.0)}, tmp_path / "x.pt")
    content = bytearray((tmp_path / "x.pt").read_bytes())
    with zipfile.ZipFile(tmp_path / "x.pt") as file:
        start = content.index(file.read(f"x/{part}"), file.getinfo(f"x/{part}").header_offset)
    content[start + 1] ^= 1
    (tmp_path / "x.pt").write_bytes(content)
    refused(tmp_path / "x.pt", f"its part x/{part} is damaged")


def test_a_part_that_is_there_twice_is_refused(tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt", "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("x/data/0", bytes(8))
    refused(tmp_path / "x.pt", "names nothing, one part twice, or more than the file holds")


@pytest.mark.parametrize(("claimed", "taken", "reason"), [
    (2**40, 64, "its part 'x/data/0' is compressed"), (2**40, 2**40, "more than the file holds"),
])
def test_a_part_of_more_bytes_than_it_takes_is_refused(tmp_path, claimed, taken, reason):
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as file:
        file.writestr("x/data.pkl", dictionary_pickle({"w": tensor_pickle(claimed // 4, (claimed // 4,), (1,))}))
        file.writestr("x/data/0", bytes(64))
        file.filelist[-1].file_size, file.filelist[-1].compress_size = claimed, taken
    refused(tmp_path / "x.pt", reason)


def test_a_part_inside_another_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as file:
        file.writestr("x/data.pkl", dictionary_pickle({}))
        file.writestr("x/data/0", bytes(400))
        file.writestr("x/data/1", bytes(4))
        file.filelist[-1].header_offset = file.filelist[-2].header_offset + 100
    refused(tmp_path / "x.pt", "its part 'x/data/1' shares bytes with another")


def test_an_archive_without_torch_s_parts_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as file:
        file.writestr("x/model.json", "{}")
    refused(tmp_path / "x.pt", "its part 'data.pkl' is missing")


def test_a_directory_of_64_bits_is_bounded_too(tmp_path, monkeypatch):
    torch.save({str(number): torch.ones(1) for number in range(20)}, tmp_path / "x.pt")
    assert (tmp_path / "x.pt").read_bytes()[-42:-38] == b"PK\6\7"  # torch's own are
    monkeypatch.setattr(archive, "MOST_DIRECTORY", 1000)
    refused(tmp_path / "x.pt", r"its zip directory takes \d{4} bytes; at most 1000")


def test_old_files_are_held_to_what_they_hold(tmp_path):
    path = tmp_path / "x.pt"
    torch.save({"w": torch.ones(8), "v": torch.ones(4)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    refused(path, r"its storage '\d+' claims \d numbers that it does not hold")
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {})]
    content = dictionary_pickle({"w": tensor_pickle(2, (2,), (1,))})
    for keys, count, reason in (([], 2, "its storage '0' is missing"), (["0", "1"], 2, CODE), ("0", 2, CODE),
                                ([["0"]], 2, CODE), (["0"], 1, "claims 2 numbers that it does not hold")):
        path.write_bytes(b"".join([*parts, content, pickle.dumps(keys, 2), count.to_bytes(8, "little"), bytes(8)]))
        refused(path, reason)
    path.write_bytes(pickle.dumps({"w": 1}, 2))
    refused(path, "it is no file of torch.save")


def test_a_header_of_safetensors_is_bounded_before_it_is_read(tmp_path, monkeypatch):
    save_file({"w": torch.ones(1)}, tmp_path / "x.safetensors", {"note": "a" * 1000})
    assert read_metadata(tmp_path / "x.safetensors") == {"note": "a" * 1000}
    monkeypatch.setattr("reanchor.weight_files.safe.MOST_HEADER", 1000)
    refused(tmp_path / "x.safetensors", r"its header claims 1\d\d\d bytes; allowed: 1000")


def test_a_name_of_the_file_is_not_looked_up_on_torch(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__getattr__", lambda name: pytest.fail(f"torch.{name} was looked up"))
    path = tmp_path / "x.pt"
    write_archive(path, dictionary_pickle({"weight": b"ctorch\n_inductor\n"}), {})
    refused(path, f"{CODE}: torch._inductor")


def test_small_numbers_count_as_what_they_are_widened_to(tmp_path):
    block = torch.zeros(2**22, dtype=torch.uint8)
    torch.save({"a": block}, tmp_path / "once.pt")
    assert read_state(tmp_path / "once.pt", "backbone.path", "weights")["a"].numel() == 2**22
    torch.save({"a": block, "b": block, "c": block}, tmp_path / "thrice.pt")
    refused(tmp_path / "thrice.pt", "its tensors repeat the 4194304 bytes that it holds into 50331648")
