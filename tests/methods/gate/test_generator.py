"""Occlusions made on the fly, what the network learns from them, and how it is judged."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_files import tiny_clip
from scipy.ndimage import binary_dilation
from torch import Generator
from torch.testing import assert_close

from reanchor.config.sections.data import Occlude
from reanchor.errors import ReanchorError
from reanchor.formats.images import ImageStore
from reanchor.formats.manifest import Manifest
from reanchor.formats.occlusion import BACKGROUND, OBJECT, STRANGER, TARGET, UNKNOWN
from reanchor.methods.clip_reid.settings import FinetuneRecipe
from reanchor.methods.gate.fit import VisibilityValidation, auc, shuffled_batches, visibility_figures, visibility_job
from reanchor.methods.gate.generator import KINDS, GeneratedImages, OcclusionGenerator
from reanchor.methods.gate.settings import Gate
from reanchor.methods.gate.targets import ExactGates, targets
from reanchor.methods.gate.visibility import VisibilityNetwork
from reanchor.occlusion.cutouts import write_library
from reanchor.occlusion.library import load_library

COUNT = 12
ONLY = {kind: {other: float(other == kind) for other in KINDS} for kind in KINDS}


def street(masks: bool = True) -> tuple[Manifest, ImageStore]:
    """Four people, three noisy pictures each; everyone fills columns 8 to 23 of rows 10 to 59."""
    pixels = np.random.default_rng(0).integers(0, 200, (COUNT, 64, 32, 3), dtype=np.uint8)
    people = np.zeros((COUNT, 64, 32), np.uint8)
    people[:, 10:60, 8:24] = 4
    names = [f"image{number}" for number in range(COUNT)]
    pids, camids = np.arange(COUNT) // 3 + 1, np.arange(COUNT) % 3 + 1
    split = np.array(["train"] * 6 + ["val"] * 6)
    blank = np.zeros(COUNT, np.int64)
    manifest = Manifest(names, names, pids, camids, blank, split, [[]] * COUNT, blank, blank, names)
    return manifest, ImageStore(pixels, people if masks else None, "parts")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate") / "library"
    write_library(folder, size=48)
    return load_library(folder)


def make(library, masks: bool = True, **settings) -> OcclusionGenerator:
    return OcclusionGenerator(Gate(**settings), Occlude(), library, *street(masks), "train")


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_draws_follow_from_the_generator_alone(library):
    one, other, rows = make(library), make(library), np.arange(6)
    first, again = one.batch(rows, 0.9, seeded()), other.batch(rows, 0.9, seeded())
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], one.batch(rows, 0.9, seeded(1))[0])
    backwards = [one.draw(5, 0.9, 77), one.draw(2, 0.9, 78)][::-1]
    assert np.array_equal(backwards[0][0], other.draw(2, 0.9, 78)[0])


def test_an_image_that_is_spared_stays_whole(library):
    stream = make(library)
    images, masks = stream.batch(np.array([4, 1]), 0.0, seeded())
    assert np.array_equal(images, stream.store.images[[4, 1]])
    assert np.array_equal(masks == TARGET, stream.store.masks[[4, 1]] > 0)
    assert set(np.unique(masks)) == {BACKGROUND, TARGET}


def test_so_many_are_occluded_and_so_many_by_each_kind(library):
    stream = make(library, behind_share=0.0)
    drawn = [stream.draw(0, 0.9, seed) for seed in range(400)]
    plain = [mask for _, mask in drawn if set(np.unique(mask)) == {BACKGROUND, TARGET}]
    strangers = [mask for _, mask in drawn if (mask == STRANGER).any()]
    grey = [image for image, mask in drawn if (mask == OBJECT).any() and (image[mask == OBJECT] == 128).all()]
    # binomial, three standard deviations
    for got, share in ((len(plain), 0.1), (len(strangers), 0.9 * 0.55), (len(grey), 0.9 * 0.2)):
        assert abs(got - 400 * share) < 3 * np.sqrt(400 * share * (1 - share))


@pytest.mark.parametrize(("kind", "label"), [("masking", OBJECT), ("ogor", OBJECT), ("people", STRANGER)])
def test_labels_say_what_covers_each_pixel(library, kind, label):
    stream = make(library, **ONLY[kind], behind_share=0.0)
    for seed in range(5):
        image, mask = stream.draw(seed, 1.0, seed)
        person, covered = stream.store.masks[seed] > 0, mask == label
        assert covered.any() and np.array_equal(mask == TARGET, person & ~covered)
        changed = (image != stream.store.images[seed]).any(-1)
        assert changed[covered].mean() > 0.95
        # labels follow alpha >= .5; a softened edge reaches further, but for a mask, which has none
        assert changed[~binary_dilation(covered, iterations=2)].mean() < (0.02 if kind != "masking" else 1e-9)


def test_the_covered_share_is_drawn_from_the_whole_range(library):
    stream = make(library, **ONLY["masking"])  # exact to the pixel
    covered = np.array([(stream.draw(0, 1.0, seed)[1] == OBJECT).mean() for seed in range(300)])
    assert 0.1 <= covered.min() < 0.12 and 0.58 < covered.max() <= 0.6
    assert abs(covered.mean() - 0.35) < 3 * 0.5 / np.sqrt(12 * 300)  # uniform, three standard deviations


def test_a_stranger_behind_hides_nothing_of_the_person(library):
    front, behind = (make(library, **ONLY["people"], behind_share=share) for share in (0.0, 1.0))
    seen = 0
    for seed in range(8):
        image, mask = behind.draw(seed % 6, 1.0, seed)
        person = behind.store.masks[seed % 6] > 0
        assert np.array_equal(mask == TARGET, person)
        assert np.array_equal(image[person], behind.store.images[seed % 6][person])
        other, labels = front.draw(seed % 6, 1.0, seed)
        assert np.array_equal(mask == STRANGER, (labels == STRANGER) & ~person)  # the same stranger, at the same place
        assert np.array_equal(image[~person], other[~person])
        seen += (mask == STRANGER).sum()
    assert seen > 0


def test_without_person_masks_what_nothing_covers_is_visible(library):
    stream = make(library, masks=False, behind_share=1.0)
    encoder = tiny_clip().image_encoder()
    for seed in range(6):
        _, mask = stream.draw(seed, 1.0, seed)
        assert set(np.unique(mask)) <= {UNKNOWN, OBJECT, STRANGER} and (mask != UNKNOWN).any()
        uncovered = (mask == UNKNOWN).reshape(4, 16, 2, 16).mean((1, 3)).ravel()
        assert_close(targets(mask[None], encoder)[0], torch.from_numpy(uncovered).float())


def test_targets_are_shares_of_overlapping_patches():
    encoder = tiny_clip((64, 32), stride=12).image_encoder()
    mask = np.random.default_rng(3).choice([0, 1, 2, 3], (2, 64, 32)).astype(np.uint8)
    want = [[(one[top:top + 16, left:left + 16] == TARGET).mean() for top in range(0, 49, 12) for left in (0, 12)]
            for one in mask]
    assert_close(targets(mask, encoder), torch.tensor(want, dtype=torch.float32))
    assert_close(ExactGates(encoder)(torch.zeros(2, 3, 64, 32), torch.from_numpy(mask)), targets(mask, encoder))
    with pytest.raises(ReanchorError, match=r"exact gates.*allowed at test time: network, shared, saga, ones"):
        ExactGates(encoder)(torch.zeros(2, 3, 64, 32))


def test_the_generated_images_take_the_place_of_the_training_images(library):
    stream = make(library)
    rows, blank = np.arange(6), np.zeros(6, np.int64)
    data = GeneratedImages(images=stream.store.images, rows=rows, labels=blank, cameras=blank, views=blank,
                           stream=stream)
    chosen = np.array([5, 0])
    assert np.array_equal(data.take(chosen, 0.5, seeded(3)), stream.batch(chosen, 0.5, seeded(3))[0])


def network() -> VisibilityNetwork:
    made = VisibilityNetwork(tiny_clip().image_encoder(), 2)
    made.initialise(seeded())
    return made


def test_the_loss_is_the_soft_cross_entropy_of_every_token(library):
    made, stream, spec = network(), make(library), tiny_clip().spec
    plain = FinetuneRecipe(flip=0.0, pad=0)
    job = visibility_job(Gate(batch=4), plain, made, spec, stream, np.arange(6), None)
    got = job.losses(np.array([3, 1]), seeded(9))["loss"]
    images, masks = stream.batch(np.array([3, 1]), 0.9, seeded(9))
    logits = made((torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.5) / 0.5)
    share = torch.from_numpy((masks == TARGET).reshape(2, 4, 16, 2, 16).mean((2, 4)).reshape(2, 8))
    want = -(share * F.logsigmoid(logits) + (1 - share) * F.logsigmoid(-logits)).mean()
    assert_close(got.double(), want.double(), atol=1e-6, rtol=1e-5)
    assert [len(batch) for batch in job.batches(0)] == [4] and job.batch_images == 4


def test_labels_move_with_their_images(library):
    made, stream, spec, seen = network(), make(library), tiny_clip().spec, {}
    mirrored = FinetuneRecipe(flip=1.0, pad=0)
    job = visibility_job(Gate(), mirrored, made, spec, stream, np.arange(6), None)
    made.forward = lambda pixels: seen.setdefault("pixels", pixels)[:, 0, ::16, ::16].flatten(1) * 0
    loss = job.losses(np.array([2]), seeded(4))["loss"]
    image, _ = stream.batch(np.array([2]), 0.9, seeded(4))
    pixels = torch.from_numpy(image[:, :, ::-1].copy()).permute(0, 3, 1, 2) / 255
    assert_close(seen["pixels"], (pixels - 0.5) / 0.5)
    assert loss.item() == pytest.approx(np.log(2))


def test_batches_hold_everyone_once_but_a_remainder():
    batches = shuffled_batches(10, 4, seed=3, epoch=0)
    assert [len(batch) for batch in batches] == [4, 4] and len(set(np.concatenate(batches))) == 8
    assert not np.array_equal(batches[0], shuffled_batches(10, 4, 3, 1)[0])
    assert np.array_equal(batches[1], shuffled_batches(10, 4, 3, 0)[1])
    assert sorted(shuffled_batches(3, 96, 0, 0)[0]) == [0, 1, 2]


def test_auc_is_the_share_of_right_pairs():
    rng = np.random.default_rng(1)
    above, below = rng.integers(0, 9, 40).astype(float), rng.integers(0, 7, 30).astype(float)
    pairs = (above[:, None] > below) + 0.5 * (above[:, None] == below)
    assert auc(above, below) == pytest.approx(pairs.mean())
    assert auc(np.array([2.0]), np.array([1.0])) == 1 and auc(np.array([1.0]), np.array([1.0, 2.0])) == 0.25


def test_figures_judge_tokens_by_what_fills_half_of_them():
    spec, made = tiny_clip().spec, network()
    mask = np.zeros((1, 64, 32), np.uint8)
    mask[0, :16, :16], mask[0, :16, 16:] = TARGET, STRANGER
    mask[0, 16:32, :16], mask[0, 16:32, 16:24], mask[0, 16:32, 24:] = OBJECT, TARGET, OBJECT  # a half counts for both
    logits = torch.tensor([[5.0, 1.0, 4.0, 3.0, 0, 0, 0, 3.5]])  # the last four are background
    made.forward = lambda pixels: logits
    figures = visibility_figures(made, spec, np.zeros((1, 64, 32, 3), np.uint8), mask)
    # people 5, 3; stranger 1; mask 4, 3; background 0, 0, 0, 3.5
    assert figures == {"auc_stranger": 100, "auc_mask": 100 * (2 + 0.5) / 4, "auc_background": 100 * 7 / 8}


def test_validation_is_drawn_once_and_must_hold_something_covered(library):
    manifest, store = street(masks=False)
    stream = OcclusionGenerator(Gate(), Occlude(), library, manifest, store, "val")
    one, other = (VisibilityValidation.draw(Gate(), stream) for _ in range(2))
    assert np.array_equal(one.images, other.images) and len(one.images) == 6
    figures = one.score(network(), tiny_clip().spec)
    parts = [value for name, value in figures.items() if name.startswith("val_auc_")]
    assert figures["score"] == pytest.approx(np.mean(parts)) and parts
    bare = VisibilityValidation(store.images, np.full((COUNT, 64, 32), UNKNOWN, np.uint8), 0.05)
    with pytest.raises(ReanchorError, match=r"gate\.occluded: got 0\.05, which covers no token of 12 held-out images"):
        bare.score(network(), tiny_clip().spec)
