"""The gate from the workspace's files: the visibility network, then a gated model.

Either the gate is added to a fine-tuned model, or stage 2 is trained with it: the losses see the replayed [CLS].
"""

import dataclasses
from dataclasses import asdict
from pathlib import Path

from torch import Generator

from reanchor.clip.model import Clip, ClipSpec, freeze
from reanchor.clip.vision import ImageEncoder
from reanchor.config.params import Params
from reanchor.files import atomic_directory
from reanchor.methods.clip_reid.finetune import finetune_job
from reanchor.methods.clip_reid.model import ReidModel
from reanchor.methods.clip_reid.settings import LossWeights
from reanchor.methods.clip_reid.store import read_reid
from reanchor.methods.clip_reid.texts import open_texts
from reanchor.methods.clip_reid.train import build_model, embed_with, trained_with
from reanchor.methods.gate.anchors import AnchorNetwork
from reanchor.methods.gate.fit import VisibilityValidation, suite_figures, visibility_job
from reanchor.methods.gate.gates import NetworkGates
from reanchor.methods.gate.generator import GeneratedImages, OcclusionGenerator
from reanchor.methods.gate.headroom import chosen_conditions, compare_gates
from reanchor.methods.gate.joint import joint_job
from reanchor.methods.gate.replay import check_fits
from reanchor.methods.gate.shared import SharedNetwork
from reanchor.methods.gate.store import Source, gate_model, ones_gates, save_gated, seeing_network
from reanchor.methods.gate.visibility import VisibilityNetwork
from reanchor.methods.saga.store import read_saga
from reanchor.retrieval.validation import RULE, Validation
from reanchor.training import checkpoint
from reanchor.training.device import choose_device
from reanchor.training.images import TrainingImages
from reanchor.training.loop import Job, Outcome, Trainer
from reanchor.training.recorder import PhaseRecorder, Recorder


class GateTraining:
    """What both trainings of the stage share."""

    def __init__(self, params: Params, root: Path, recorder: Recorder):
        self.params, self.root, self.recorder = params, root, recorder
        self.prepared, self.occluded = root / "data/prepared", root / "data/occluded"
        self.device = choose_device(params.runtime.device)
        self.clip = Clip.load(root / "models/backbone")
        check_fits(self.clip.image_encoder(), params.gate.blocks)
        self.weights: LossWeights = getattr(params.finetune, params.gate.model)
        self.data = TrainingImages.open(self.prepared)
        self.mark = self._mark()
        self.steps, self.epochs = 0, 0  # trained so far: the curve of stage 2 comes after the network's

    def stream(self, split: str) -> OcclusionGenerator:
        """The occlusions of one split."""
        return OcclusionGenerator.open(self.params.gate, self.params.occlude, self.prepared, self.occluded, split)

    def gates(self, encoder: ImageEncoder) -> tuple[Source, dict[str, float]]:
        """Gates for this encoder, and how well they see: trained ones, the control, or what stage 2 is to train."""
        config = self.params.gate
        if config.source == "ones":
            return ones_gates(encoder), {}
        if config.source == "shared":
            network = SharedNetwork(freeze(encoder), config.shared_blocks, config.shared_own)
        else:
            network = VisibilityNetwork(self.clip.image_encoder(), config.network_blocks)
        network.initialise(Generator().manual_seed(config.seed))
        network.to(self.device)
        if config.trained and config.source == "shared":
            return network.requires_grad_(True), {}
        return self._fit(network)

    def _fit(self, network: VisibilityNetwork | SharedNetwork) -> tuple[Source, dict[str, float]]:
        config = self.params.gate
        validation = VisibilityValidation.draw(config, self.stream("val"))
        spec = self.clip.spec
        job = visibility_job(config, self.params.finetune.recipe, network, spec, self.stream("train"), self.data.rows,
                             lambda: validation.score(network, spec))
        outcome = self.run(job, "visibility", {"loss": "visibility_loss", "score": "val_visibility"})
        freeze(network)
        figures = {f"visibility_{name}": value for name, value in outcome.figures().items()}
        return network if isinstance(network, SharedNetwork) else NetworkGates(network), figures

    def model(self) -> tuple[ReidModel, ClipSpec, dict[str, float | str]]:
        """The gated model, its CLIP's spec, and what its trainings told."""
        config = self.params.gate
        if config.source == "saga":
            return self._anchored()
        if config.trained:
            model = build_model(self.clip, self.data, self.params, self.weights)
            spec = dataclasses.replace(self.clip.spec, interpolation=self.data.interpolation)
        else:
            model, spec, _ = read_reid(self.root / f"models/{config.model}")
        gates, figures = self.gates(model.encoder)
        gate_model(model, gates, config.eps, config.blocks, config.plain_weight).to(self.device)
        if config.trained:
            figures |= self._stage2(model, spec)
        return model, spec, figures

    def _anchored(self) -> tuple[ReidModel, ClipSpec, dict[str, float | str]]:
        """SAGA's own backbone behind the gates of its anchors; nothing is trained."""
        head, model, spec, blocks, _ = read_saga(self.root / "models/saga")
        gates = AnchorNetwork(model.encoder, head, blocks)
        config = self.params.gate
        gate_model(model, gates, config.eps, config.blocks, config.plain_weight).to(self.device)
        return model, spec, {}

    def run(self, job: Job, name: str, columns: dict[str, str] | None = None) -> Outcome:
        """Train to the end, or go on where an interrupted training was; `columns`: other names in the curve."""
        path = self.root / f".checkpoints/gate-{name}-{self.mark}.pt"
        outcome = Trainer(job, path, self.mark, self.params.runtime.checkpoint_steps,
                          PhaseRecorder(self.recorder, self.steps, self.epochs, columns)).run()
        self.steps, self.epochs = self.steps + outcome.steps, self.epochs + job.epochs
        return outcome

    def _stage2(self, model: ReidModel, spec: ClipSpec) -> dict[str, float | str]:
        config, params = self.params.gate, self.params
        recipe = dataclasses.replace(params.finetune.recipe, occluded=config.occluded_stage2)
        data = GeneratedImages(**vars(self.data), stream=self.stream("train"))
        texts = None
        if self.weights.text:
            texts = open_texts(self.root / "models/prompts", self.clip, recipe.one_stage, self.device)
        validation = Validation.open(self.prepared, self.occluded)

        def validate() -> dict[str, float]:
            return validation.score(embed_with(model, spec, self.device))

        if config.source == "shared":
            job = joint_job(recipe, self.weights, config.visibility_weight, model, data, texts, spec, validate)
        else:
            job = finetune_job("gate: stage 2", recipe, self.weights, model, data, texts, spec, validate)
        return {**self.run(job, "stage2").figures(), "selection": RULE}

    def _mark(self) -> str:
        paths = [self.prepared / "manifest.parquet", self.occluded / "suites.json",
                 self.root / "models/backbone/weights.safetensors", self.root / "models/backbone/model.json"]
        if self.params.gate.trained and self.weights.text:
            paths.append(self.root / "models/prompts/prompts.safetensors")
        if not self.params.gate.trained:  # a shared network's checkpoint holds the encoder that it reads
            paths += [self.root / "models" / self.params.gate.model / name
                      for name in ("weights.safetensors", "model.json")]
        settings = (self.params.gate, self.params.finetune, self.params.occlude)
        return checkpoint.fingerprint(__name__, *map(asdict, settings), checkpoint.inputs(*paths))


def train_gate(name: str, params: Params, root: Path, out: Path, recorder: Recorder) -> dict[str, float | str]:
    """Train what `params.gate` asks for, write the gated model into `out`, return its figures.

    Beside the trainings' own: AUC of the network on each validation suite, and mAP of validation identities with the
    plain [CLS], with the gate, and with exact masks.

    Raises:
        ReanchorError: a backbone that cannot be gated, or data that cannot be occluded.
    """
    training = GateTraining(params, root, recorder)
    model, spec, figures = training.model()
    freeze(model)
    if network := seeing_network(model):
        figures |= suite_figures(network, spec, training.occluded)
    compared = compare_gates(model, spec, training.prepared, training.occluded, chosen_conditions(params.occlude))
    with atomic_directory(out) as folder:
        save_gated(model, spec, folder, config=trained_with(params.gate.model, params, training.weights)
                   | {"gate": asdict(params.gate)})
    return {**figures, **compared}
