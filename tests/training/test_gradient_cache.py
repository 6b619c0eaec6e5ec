"""Gradient caching and several ranks: the gradients of one large batch."""

import numpy as np
import pytest
import rank_worker
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from golden_files import tiny_clip, tiny_resnet_clip
from torch import nn

from reanchor.errors import ReanchorError
from reanchor.methods.tbps.job import text_losses
from reanchor.methods.tbps.model import TbpsModel
from reanchor.methods.tbps.settings import TEXT_TERMS, TbpsRecipe, TbpsTerms
from reanchor.text.towers import DualEncoder
from reanchor.training.gradient_cache import encode_in_chunks, refuse_batch_statistics
from reanchor.training.ranks import gather, join_ranks, own_share, rank, world_size

pytestmark = pytest.mark.slow

FULL = TbpsTerms(nitc=1.0, ritc=1.0, citc=0.1, ss=0.4, id=0.3, mlm=0.2, multi_view=True, dropout=0.2, lock=True)
PLAIN = TbpsTerms(nitc=1.0, ritc=1.0)
LABELS = torch.tensor([0, 0, 1, 2, 1, 3, 4, 2])


def model_of(recipe: TbpsTerms) -> TbpsModel:
    """The golden CLIP with its heads and a scale that makes the losses soft."""
    torch.manual_seed(0)
    model = TbpsModel(DualEncoder(tiny_clip()), recipe, 5).train()
    with torch.no_grad():
        model.towers.log_scale.fill_(1.0)
    return model


def batch_of(recipe: TbpsTerms, count: int = 8) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    names = ["image", *(["second"] if recipe.multi_view else []), *(["simclr_1", "simclr_2"] if recipe.ss else [])]
    batch = {name: torch.randn(count, 3, 64, 32, generator=generator) for name in names}
    tokens = torch.randint(300, 400, (count, 77), generator=generator)
    lengths = torch.randint(5, 20, (count, 1), generator=generator)
    slots = torch.arange(77)
    tokens = torch.where(slots < lengths, tokens, 0)
    batch["tokens"] = torch.where(slots == lengths, 49407, tokens)
    batch["tokens"][:, 0] = 49406
    if recipe.mlm:
        chosen = (torch.rand(count, 77, generator=generator) < 0.4) & (slots > 0) & (slots < lengths)
        batch["masked"] = torch.where(chosen, 49405, batch["tokens"])
        batch["targets"] = torch.where(chosen, batch["tokens"], -100)
    return batch


def side_by_side(encode, batch, chunk):
    """Chunks with all their activations kept: what caching has to equal."""
    count = len(batch["tokens"])
    parts = [encode({name: value[start:start + chunk] for name, value in batch.items()})
             for start in range(0, count, chunk)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def gradients(recipe, chunk, encoder) -> tuple[float, dict[str, torch.Tensor]]:
    model, batch = model_of(recipe), batch_of(recipe)
    torch.manual_seed(7)
    terms = text_losses(model, encoder(model.encode, batch, chunk), LABELS, recipe, TbpsRecipe(), 0.3)
    terms["loss"].backward()
    assert set(terms) == {name for name in TEXT_TERMS if getattr(recipe, name)} | {"loss"}
    return terms["loss"].item(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def assert_same(found, wanted):
    assert found[0] == pytest.approx(wanted[0], abs=1e-5)
    assert found[1].keys() == wanted[1].keys() and len(wanted[1]) > 60
    for name, gradient in wanted[1].items():
        torch.testing.assert_close(found[1][name], gradient, atol=1e-5, rtol=1e-4,
                                   msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("chunk", [1, 3])
def test_cached_gradients_are_the_direct_ones_with_dropout_and_all_views(chunk):
    assert_same(gradients(FULL, chunk, encode_in_chunks), gradients(FULL, chunk, side_by_side))


@pytest.mark.parametrize("chunk", [0, 3, 8, 100])
def test_without_dropout_chunks_make_no_difference(chunk):
    assert_same(gradients(PLAIN, chunk, encode_in_chunks), gradients(PLAIN, 8, side_by_side))


def test_dropout_is_replayed_and_goes_on_afterwards():
    """The masks of a second pass are the first one's, and the next batch's are new."""
    layer, seen = nn.Dropout(0.5), []

    def encode(batch):
        seen.append(layer(batch["x"]))
        return {"y": seen[-1] * 1.0}

    x = torch.ones(6, 50, requires_grad=True)
    torch.manual_seed(0)
    encode_in_chunks(encode, {"x": x}, 2)["y"].sum().backward()
    first = torch.cat(seen[:3])
    assert torch.equal(x.grad, first) and 0 < first.mean() < 2
    seen.clear()
    encode_in_chunks(encode, {"x": x}, 2)
    assert not torch.equal(torch.cat(seen), first)


def test_no_chunk_keeps_activations_for_the_backward_pass():
    def kept(encoder, chunk) -> int:
        model, batch, count = model_of(PLAIN), batch_of(PLAIN), [0]
        inputs = {tensor.untyped_storage().data_ptr() for tensor in [*batch.values(), *model.parameters()]}

        def pack(tensor):
            if tensor.untyped_storage().data_ptr() not in inputs:
                count[0] += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            encoder(model.encode, batch, chunk)
        return count[0]

    assert kept(encode_in_chunks, 2) < 0.01 * kept(side_by_side, 2)


def test_without_gradients_chunks_are_plain_passes():
    model, batch = model_of(PLAIN).eval(), batch_of(PLAIN)
    with torch.no_grad():
        found, wanted = encode_in_chunks(model.encode, batch, 3), model.encode(batch)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-4)


def test_batch_norm_cannot_be_chunked():
    model = TbpsModel(DualEncoder(tiny_resnet_clip()), PLAIN, 5)
    with pytest.raises(ReanchorError,
                       match=r"tbps.recipe.chunk: got 4, but this model has batch norm.*allowed: the whole"):
        refuse_batch_statistics(model, "tbps.recipe.chunk", 4)
    refuse_batch_statistics(model, "tbps.recipe.chunk", 0)
    refuse_batch_statistics(model_of(PLAIN), "tbps.recipe.chunk", 4)
    with pytest.raises(ReanchorError, match=r"mlm: got 1.0, but a ResNet gives no image tokens"):
        TbpsModel(DualEncoder(tiny_resnet_clip()), TbpsTerms(nitc=1.0, mlm=1.0), 5)


def test_two_ranks_have_the_gradients_of_one_process(tmp_path):
    mp.spawn(rank_worker.half, (str(tmp_path),), nprocs=2)
    model = rank_worker.Towers()
    rank_worker.loss_of(model, slice(None)).backward()
    wanted = {name: p.grad for name, p in model.named_parameters()} | {"idle": torch.zeros(2)}
    for number in (0, 1):
        with np.load(tmp_path / f"{number}.npz") as found:
            assert set(found.files) == set(wanted)
            for name, gradient in wanted.items():
                torch.testing.assert_close(torch.from_numpy(found[name]), gradient, atol=1e-6, rtol=1e-5)
    trained = rank_worker.train(tmp_path / "alone.pt")
    for number in (0, 1):
        with np.load(tmp_path / f"trained-{number}.npz") as found:
            for name, value in trained.named_parameters():
                torch.testing.assert_close(torch.from_numpy(found[name]), value.detach(), atol=1e-5, rtol=1e-4)


def test_a_gradient_that_two_gathered_features_share_is_summed_once_each(monkeypatch):
    """Autograd hands both addends of a sum the same tensor."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "get_rank", lambda: 1)
    monkeypatch.setattr(dist, "all_gather", lambda parts, own: [part.copy_(own) for part in parts])
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: tensor.mul_(2))
    first, second = (torch.randn(3, 2, requires_grad=True) for _ in range(2))
    weights = torch.arange(12.0).view(6, 2)
    ((gather(first) + gather(second)) * weights).sum().backward()
    for leaf in (first, second):
        torch.testing.assert_close(leaf.grad, 2 * weights[3:])


def test_one_process_gathers_itself(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    x = torch.randn(3, 2)
    assert gather(x) is x and world_size() == 1 and rank() == 0 and join_ranks("cpu") == "cpu"
    assert own_share(np.arange(5)).tolist() == [0, 1, 2, 3, 4]
