"""IRRA's training from the workspace's files."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from reanchor.clip.model import Clip, ClipSpec
from reanchor.config.params import Params
from reanchor.files import atomic_directory
from reanchor.formats.manifest import Manifest
from reanchor.methods.irra.batch import Draws
from reanchor.methods.irra.job import irra_job
from reanchor.methods.irra.model import IrraModel, build_model
from reanchor.methods.irra.settings import Irra
from reanchor.retrieval.sentence_validation import RULE, SentenceValidation
from reanchor.retrieval.validation import LAST_EPOCH
from reanchor.text.pairs import SentencePairs, require_captions
from reanchor.text.towers import DualSearcher, save_dual
from reanchor.training import checkpoint
from reanchor.training.device import choose_device
from reanchor.training.loop import Trainer
from reanchor.training.recorder import Recorder


def train_irra(name: str, params: Params, root: Path, out: Path, recorder: Recorder) -> dict[str, float | str]:
    """Train IRRA on the backbone; keep the epoch with the best validation score, or the last one where no
    identities were held out.

    Raises:
        Skipped: the dataset's captions are too few to train and to choose on.
        ReanchorError: no backbone, one without patch tokens, or a loss that is not finite.
    """
    require_captions(root / "data/prepared")
    config, runtime = params.irra, params.runtime
    device = choose_device(runtime.device)
    clip = Clip.load(root / "models/backbone")
    pairs = SentencePairs.open(root / "data/prepared", root / "data/occluded", clip.spec, config.context)
    model = build_model(clip, pairs.images.identities, config).to(device)
    validate, told = chosen_by(root, name, model, clip.spec)
    job = irra_job(config, model, Draws(pairs, clip.spec, config), validate)
    mark = mark_of(config, root)
    outcome = Trainer(job, root / f".checkpoints/irra-{mark}.pt", mark, runtime.checkpoint_steps, recorder).run()
    with atomic_directory(out) as folder:
        save_dual(model.towers, replace(clip.spec, interpolation=pairs.images.interpolation), name, folder,
                  config={"prepare": asdict(params.prepare), "irra": asdict(config)})
    return {**outcome.figures(), "pairs": len(pairs), "cut_sentences": pairs.cut, **told}


def chosen_by(root: Path, name: str, model: IrraModel, spec: ClipSpec
              ) -> tuple[Callable[[], dict[str, float]] | None, dict[str, float | str]]:
    """What scores an epoch, and what the figures say of it; nothing does where no identities were held out."""
    prepared = root / "data/prepared"
    if not len(Manifest.read(prepared / "manifest.parquet").rows("val")):
        return None, {"selection": LAST_EPOCH}
    validation, searcher = SentenceValidation.open(prepared, root / "data/occluded"), DualSearcher(name, model.towers,
                                                                                                   spec)
    cut = validation.count_cut(searcher)
    return lambda: validation.score(searcher), {"cut_validation_sentences": cut, "selection": RULE}


def mark_of(config: Irra, root: Path) -> str:
    """What this training's result depends on."""
    paths = [root / "data/prepared/manifest.parquet", root / "data/occluded/suites.json",
             root / "models/backbone/weights.safetensors", root / "models/backbone/model.json"]
    return checkpoint.fingerprint(__name__, asdict(config), checkpoint.inputs(*paths))
