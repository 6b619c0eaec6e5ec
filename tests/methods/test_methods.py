"""Stage 1, stage 2 and SAGA beyond the golden numbers: exact savings, data, models on disk."""

import numpy as np
import pytest
import torch
from golden_files import tiny_clip
from torch import Generator
from torch.testing import assert_close

from reanchor.clip.tokenizer import BytePairTokenizer
from reanchor.errors import ReanchorError
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.prompts import PromptLearner, stage1_losses
from reanchor.methods.clip_reid.side import SideSettings
from reanchor.methods.clip_reid.store import save_reid
from reanchor.methods.embedders import load_embedder
from reanchor.methods.saga.build import build_head
from reanchor.methods.saga.features import fuse
from reanchor.methods.saga.settings import Saga
from reanchor.training.device import choose_device
from reanchor.training.images import TrainingImages
from reanchor.training.losses import batch_hard_triplet, clip_contrastive, off_diagonal_cosine, supervised_contrastive

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 64, 32, 3), dtype=np.uint8)


def learner(text, context=4, before="A photo of a"):
    made = PromptLearner(5, context, before, "person.", text, BytePairTokenizer())
    made.initialise(Generator().manual_seed(1))
    return made


def test_one_prompt_per_identity_equals_one_per_image():
    text = tiny_clip().text_encoder()
    labels, images = torch.tensor([3, 0, 3, 2, 0, 3]), torch.randn(6, 32, generator=Generator().manual_seed(0))
    quick, plain = learner(text), learner(text)
    stage1_losses(images, labels, quick, text)["loss"].backward()
    texts = text(plain(labels))
    loss = supervised_contrastive(images, texts, labels, labels) + supervised_contrastive(texts, images, labels, labels)
    loss.backward()
    assert_close(quick.context.grad, plain.context.grad, atol=1e-5, rtol=1e-3)


def test_a_prefix_read_once_equals_the_whole_prompt():
    text = tiny_clip().text_encoder()
    made, labels = learner(text), torch.tensor([4, 1, 1])
    assert_close(made.encode(labels, text), text(made(labels)), atol=2e-6, rtol=1e-5)


def test_a_prompt_longer_than_the_context_is_refused():
    with pytest.raises(ReanchorError, match=r"prompts.context: 71 slots make a prompt of 79 tokens.*77.*by 2"):
        learner(tiny_clip().text_encoder(), context=71)


def test_supervised_contrastive_by_hand():
    # two anchors of one identity: each row's log softmax over two equal logits is -log 2
    ones, labels = torch.ones(2, 3), torch.tensor([0, 0])
    assert supervised_contrastive(ones, ones, labels, labels).item() == pytest.approx(np.log(2))
    far = torch.tensor([[9.0, 0], [0, 9.0]])
    apart = torch.tensor([0, 1])
    assert supervised_contrastive(far, far, apart, apart).item() == pytest.approx(0, abs=1e-6)


def test_triplet_by_hand():
    features, labels = torch.tensor([[0.0], [1.0], [1.5], [3.0]]), torch.tensor([0, 0, 1, 1])
    # hardest positive - hardest negative + margin: 1-1.5+.3 -> 0; 1-.5+.3; 1.5-.5+.3; 1.5-2+.3 -> 0
    assert batch_hard_triplet(features, labels, 0.3).item() == pytest.approx((0.8 + 1.3) / 4)


def test_diversity_and_contrast_by_hand():
    assert off_diagonal_cosine(torch.tensor([[1.0, 0], [1.0, 1.0]])).item() == pytest.approx(0.5)
    eye = torch.eye(2)
    want = np.log(1 + np.exp(-2.0))
    assert clip_contrastive(5 * eye, eye, torch.tensor(2.0)).item() == pytest.approx(want, rel=1e-5)


def test_losses_stay_in_fp32_under_autocast():
    generator = Generator().manual_seed(4)
    features = 30 + torch.randn(8, 16, generator=generator)  # close together: bf16 would lose the distances
    labels = torch.arange(8) // 2
    want = batch_hard_triplet(features, labels, 0.3), supervised_contrastive(features, features, labels, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = batch_hard_triplet(features, labels, 0.3), supervised_contrastive(features, features, labels, labels)
    assert [value.item() for value in got] == [value.item() for value in want]


def test_fusion_is_a_weighted_mean_of_cosines():
    generator = Generator().manual_seed(2)
    parts = [torch.randn(2, d, generator=generator) for d in (3, 5)]
    cosines = [torch.nn.functional.cosine_similarity(p[:1], p[1:]).item() for p in parts]
    one, other = fuse(parts, [3.0, 1.0])
    assert (one @ other).item() == pytest.approx((3 * cosines[0] + cosines[1]) / 4, rel=1e-5)
    assert one.norm().item() == pytest.approx(1)


def test_occluded_copies_replace_only_their_images():
    none = np.zeros(3, np.int64)
    data = TrainingImages(IMAGES, np.array([5, 1, 2]), np.array([0, 1, 1]), none, none,
                          np.zeros((1, 64, 32, 3), np.uint8), np.array([-1, 0, -1]))
    taken = data.take(np.array([0, 1, 2]), 1.0, Generator().manual_seed(0))
    assert np.array_equal(taken[0], IMAGES[5]) and not taken[1].any() and np.array_equal(taken[2], IMAGES[2])
    assert np.array_equal(data.take(np.array([1]), 0.0, Generator())[0], IMAGES[1])
    assert IMAGES[1].any()


def reid_model() -> ReidModel:
    model = ReidModel(tiny_clip().image_encoder(), identities=3, side=SideSettings("camera", 2, 1, 3.0), token_block=1)
    model.initialise(Generator().manual_seed(0))
    return model


def test_a_fine_tuned_model_comes_back_from_disk(tmp_path):
    model = reid_model()
    save_reid(model, tiny_clip().spec, "baseline", tmp_path)
    embedder = load_embedder(tmp_path)
    got = embedder.embed(IMAGES, np.array([1, 2, 1, 2, 1, 2])).features
    x = (torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5
    out = model.eval().encode(x, torch.tensor([0, 1, 0, 1, 0, 1]))
    want = torch.nn.functional.normalize(torch.cat([out.cls, out.projected], 1), dim=1)
    assert_close(torch.from_numpy(got), want, atol=1e-5, rtol=1e-4)
    assert embedder.name == "baseline" and embedder.grid == (4, 2)


def test_a_head_follows_from_its_seed_alone():
    text, model = tiny_clip().text_encoder(), reid_model()
    states = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        states.append(build_head(Saga(token_blocks=[2]), model, 3, text, BytePairTokenizer()).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_devices_are_checked():
    assert choose_device("cpu") == "cpu"
    with pytest.raises(ReanchorError, match="allowed are auto, cpu, cuda"):
        choose_device("tpu")
