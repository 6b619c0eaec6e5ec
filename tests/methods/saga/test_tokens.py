"""SAGA's patch tokens: cached, resumed, or computed for each batch from the same draws."""

import numpy as np
import pytest
import torch
from golden_files import tiny_clip
from recorders import Rows
from saga_fakes import AUGMENTED, PLAIN, pixels, reid_model, training_images
from torch import Generator
from torch.testing import assert_close

from reanchor.clip.tokenizer import BytePairTokenizer
from reanchor.config.load import from_mapping
from reanchor.errors import ReanchorError
from reanchor.methods.saga import tokens
from reanchor.methods.saga.build import build_head
from reanchor.methods.saga.run import tokens_mark
from reanchor.methods.saga.settings import Saga
from reanchor.methods.saga.tokens import cache_tokens, describe, hash_seed, open_tokens, row_type
from reanchor.methods.saga.train import saga_job
from reanchor.training.images import augment
from reanchor.training.loop import Trainer


def source(tmp_path, finetune=PLAIN, **settings):
    settings = {"views": 2, "token_blocks": [2], "draw_block": 4, **settings}
    return open_tokens(tmp_path / "c.npy", reid_model(), training_images(), finetune, Saga(**settings),
                       tiny_clip().spec)


def test_the_cache_holds_the_tokens_of_its_views(tmp_path):
    cached = source(tmp_path, token_blocks=[1, 2], domain="clip")
    assert cached.cache["tokens"].shape == (6, 2, 16, 64) and cached.cache["tokens"].dtype == np.float16
    out = reid_model().encode(pixels(), torch.tensor([0, 1] * 3), (1, 2))
    chosen = np.array([4, 1])
    got = cached.take(chosen, np.array([1, 0]))
    want = torch.cat([out.taps[1][:, 1:], out.taps[2][:, 1:]], dim=1)
    assert_close(got.tokens, want[chosen], atol=4e-3, rtol=2e-3)
    assert_close(got.projected, out.projected[chosen], atol=4e-3, rtol=2e-3)
    assert got.cameras.tolist() == [1, 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.npy", "c.sha256.json"]
    assert np.array_equal(np.load(tmp_path / "c.npy"), cached.cache)


def test_each_block_of_images_draws_from_its_own_generator(tmp_path):
    cached, data, spec = source(tmp_path, AUGMENTED), training_images(), tiny_clip().spec
    generator = Generator().manual_seed(hash_seed(0, 4, 1))  # seed, first image of the block, view
    images = augment(data.take(np.array([4, 5]), AUGMENTED.occluded, generator), AUGMENTED, spec, generator)
    want = reid_model().encode(images, torch.tensor([0, 1]), (2,)).taps[2][:, 1:]
    assert_close(cached.take(np.array([4, 5]), np.array([1, 1])).tokens, want, atol=4e-3, rtol=2e-3)


@pytest.mark.parametrize("block", [1, 4])
def test_tokens_computed_on_the_fly_are_the_cached_ones(tmp_path, block):
    cached = source(tmp_path, AUGMENTED, draw_block=block, domain="clip")
    fresh = source(tmp_path, AUGMENTED, draw_block=block, domain="clip", cache="none")
    chosen, view = np.array([5, 0, 3, 5, 2]), np.array([0, 1, 1, 1, 0])
    got, want = fresh.take(chosen, view), cached.take(chosen, view)
    assert_close(got.tokens, want.tokens, atol=4e-3, rtol=2e-3)
    assert_close(got.projected, want.projected, atol=4e-3, rtol=2e-3)
    assert torch.equal(got.cameras, want.cameras)


def test_training_without_a_cache_ends_where_training_with_one_does(tmp_path):
    ends, text = {}, tiny_clip().text_encoder()
    for kind in ("disk", "none"):
        config = Saga(cache=kind, token_blocks=[2], text_anchors=4, identities=2, images=2, epochs_a=3, views=2,
                      draw_block=4, refine_layers=1, warmup_epochs=0)
        read = open_tokens(tmp_path / "c.npy", reid_model(), training_images(), AUGMENTED, config, tiny_clip().spec)
        head = build_head(config, reid_model(), 3, text, BytePairTokenizer())
        start = {name: value.clone() for name, value in head.state_dict().items()}
        job = saga_job("3a", config, head, text, read, training_images().labels, None)
        ends[kind] = Trainer(job, tmp_path / f"{kind}.pt", "m", 0, Rows()).run().history[-1]["loss"], head.state_dict()
    assert ends["none"][0] == pytest.approx(ends["disk"][0], rel=2e-3)
    moved, apart = (sum((ends["disk"][1][name] - other[name]).float().square().sum() for name in start) ** 0.5
                    for other in (start, ends["none"][1]))
    assert apart < 0.1 * moved


def test_a_killed_caching_goes_on_where_it_stopped(tmp_path, monkeypatch):
    fresh = source(tmp_path, AUGMENTED, cache="none")
    whole = cache_tokens(tmp_path / "whole" / "c.npy", fresh, False, batch=4)
    written, write = [], tokens._write

    def stop_at_the_second(cache, fresh, start, stop, view):
        if start and not written:
            raise KeyboardInterrupt
        write(cache, fresh, start, stop, view)

    monkeypatch.setattr(tokens, "_write", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        cache_tokens(tmp_path / "c.npy", fresh, False, batch=4)
    monkeypatch.setattr(tokens, "_write", lambda *values: (written.append(values[2]), write(*values)))
    got = cache_tokens(tmp_path / "c.npy", fresh, False, batch=4)
    assert written == [4, 4]  # both views of the second block, nothing of the first
    assert np.array_equal(got["tokens"], whole["tokens"])
    assert sorted(path.name for path in tmp_path.glob("*c.*")) == ["c.npy", "c.sha256.json"]


HEADER = 128  # bytes of a small .npy file before its values


@pytest.mark.parametrize(("damage", "anew"), [
    (lambda content: content, []),
    (lambda content: content[:HEADER + 5] + bytes([content[HEADER + 5] ^ 64]) + content[HEADER + 6:], [0]),
    (lambda content: content[:-1] + bytes([content[-1] ^ 1]), [4]),
    (lambda content: content[:-1], [4]),
    (lambda content: content[:HEADER], [0, 4]),
    (lambda content: content[:70] + b"7" + content[71:], [0, 4]),  # another shape or kind of number
    (lambda content: bytes(len(content)), [0, 4]),
    (lambda content: b"", [0, 4]),
])
def test_a_damaged_cache_is_made_anew_where_it_is_damaged(tmp_path, monkeypatch, capsys, damage, anew):
    fresh, path = source(tmp_path, AUGMENTED, cache="none"), tmp_path / "c.npy"
    whole = np.array(cache_tokens(path, fresh, False, batch=4)["tokens"])
    path.write_bytes(damage(path.read_bytes()))
    written, write = [], tokens._write
    monkeypatch.setattr(tokens, "_write", lambda *values: (written.append(values[2]), write(*values)))
    capsys.readouterr()
    assert np.array_equal(cache_tokens(path, fresh, False, batch=4)["tokens"], whole)
    assert sorted({*written}) == anew
    said = capsys.readouterr().err
    if len(anew) == 1:
        assert f"{path}: images {anew[0] + 1} to {min(anew[0] + 4, 6)} are damaged; they are made anew" in said


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[]", b"3", b'{"step": 4}', b'{"step": 4, "sha256": 5}',
                                     b'{"step": 4, "sha256": {"0": "00", "4": 7}}', b'{"step": 8, "sha256": {}}'])
def test_hashes_that_are_damaged_vouch_for_nothing(tmp_path, content):
    fresh, path = source(tmp_path, AUGMENTED, cache="none"), tmp_path / "c.npy"
    whole = np.array(cache_tokens(path, fresh, False, batch=4)["tokens"])
    (tmp_path / "c.sha256.json").write_bytes(content)
    damaged = bytearray(path.read_bytes())
    damaged[HEADER] ^= 1
    path.write_bytes(damaged)
    assert np.array_equal(cache_tokens(path, fresh, False, batch=4)["tokens"], whole)


def test_hashes_without_their_cache_vouch_for_nothing(tmp_path):
    fresh = source(tmp_path, AUGMENTED, cache="none")
    whole = np.array(cache_tokens(tmp_path / "c.npy", fresh, False, batch=4)["tokens"])
    (tmp_path / "c.npy").unlink()
    assert np.array_equal(cache_tokens(tmp_path / "c.npy", fresh, False, batch=4)["tokens"], whole)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*values):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tokens.os, "posix_fallocate", full)
    with pytest.raises(ReanchorError, match=r"c\.npy: no space left on the disk"):
        source(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_size_is_said_beforehand(tmp_path):
    fresh = source(tmp_path, cache="none")
    said = describe((12936, 4), row_type(fresh, False), tmp_path / "c.npy")
    assert "12936 images x 4 views x 8 tokens x 64 in fp16 = 0.05 GB" in said and "saga.cache=none" in said


def test_heads_share_a_cache_as_far_as_their_tokens_are_the_same(tmp_path):
    for name in ("data/prepared/manifest.parquet", "data/occluded/suites.json",
                 "models/clip_reid/weights.safetensors", "models/clip_reid/model.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)

    def mark(section: str = "saga", **settings) -> str:
        return tokens_mark(from_mapping({section: settings}), tmp_path)

    for same in ({"anchors": "free"}, {"refine_layers": 0}, {"text_anchors": 8}, {"lr_a": 0.1}, {"domain": "none"}):
        assert mark(**same) == mark()
    others = [mark(**other) for other in ({"seed": 1}, {"views": 3}, {"token_blocks": [4]}, {"draw_block": 8},
                                          {"domain": "clip"}, {"drop_sie": True})]
    others += [mark("finetune", recipe=other) for other in ({"erase": 0.1}, {"occluded": 0.1}, {"pad": 1},
                                                            {"flip": 0.0})]
    (tmp_path / "models/clip_reid/weights.safetensors").write_text("others")
    assert len({*others, mark()}) == len(others) + 1
