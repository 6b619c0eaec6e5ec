"""What is compared: each arm is a training that differs from the default study in a few settings."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reanchor.errors import ReanchorError


@dataclass(frozen=True)
class Arm:
    """One training.

    kind: "clip" (nothing is trained), "reid" (stages 1 and 2), "gate" or "saga" (on the "reid" arm `base`, or on the
        encoder of the "gate" arm `control`).
    settings: what differs from the default composition.
    """

    title: str
    kind: str
    settings: tuple[str, ...] = ()
    base: str = "clip_reid"


def _saga(title: str, *settings: str, base: str = "clip_reid") -> Arm:
    return Arm(title, "saga", settings, base)


def _gate(title: str, *settings: str) -> Arm:
    return Arm(title, "gate", settings)


_TRAINED = ("gate.trained=true", "gate.plain_weight=0")
ARMS = {
    "zero_shot": Arm("backbone, not fine-tuned", "clip"),
    "clip_reid": Arm("[CLS] (CLIP-ReID)", "reid"),
    "no_token": Arm("[CLS], no token loss", "reid", ("finetune.clip_reid.token=0",)),
    # one weight for every token: the plain [CLS], trained on the occlusions that the gate is trained on
    "control": _gate("[CLS], trained on the gate's occlusions", "gate.trained=true", "gate.source=ones",
                     "gate.eps=1e-6", "gate.plain_weight=0"),
    "gated": _gate("gated afterwards"),
    "gated_2": _gate("gated afterwards, network of 2 blocks", "gate.network_blocks=2"),
    "gated_4": _gate("gated afterwards, network of 4 blocks", "gate.network_blocks=4"),
    "gated_head": _gate("gated afterwards, shared", "gate.source=shared", "gate.epochs=8"),
    "gated_saga": _gate("gated by SAGA's anchors", "gate.source=saga"),
    "gated_trained": _gate("trained with the gate", *_TRAINED),
    "gated_shared": _gate("trained with the gate, shared", *_TRAINED, "gate.source=shared"),
    "gated_light": _gate("trained with the gate, shared, fewer occlusions", *_TRAINED, "gate.source=shared",
                         "gate.occluded_stage2=0.2"),
    "saga": _saga("SAGA: learned text anchors"),
    "saga_free": _saga("free anchors", "saga.anchors=free"),
    "saga_random": _saga("random frozen anchors", "saga.anchors=random_frozen"),
    "saga_generic": _saga("generic frozen anchors", "saga.anchors=generic_frozen"),
    "saga_frozen_text": _saga("text anchors, all slots frozen", "saga.frozen_slots=16"),
    "saga_unrefined": _saga("no refinement", "saga.refine_layers=0"),
    "saga_no_domain": _saga("no domain anchors", "saga.domain=none"),
    "saga_no_diversity": _saga("no anchor diversity loss", "saga.anchor_diversity=0"),
    "saga_8": _saga("8 text anchors", "saga.text_anchors=8"),
    "saga_48": _saga("48 text anchors", "saga.text_anchors=48"),
    "saga_block_4": _saga("tokens of block 4", "saga.token_blocks=[4]"),
    "saga_block_6": _saga("tokens of block 6", "saga.token_blocks=[6]"),
    # its encoder has seen the gate's occlusions; the head itself reads OGor copies, as that of `saga`
    "saga_control": _saga("SAGA on the encoder trained on the gate's occlusions", base="control"),
    "saga_no_token": _saga("SAGA on the encoder without token loss", base="no_token"),
}
# Rows of the tables: an arm's feature; what stands behind the colon is a variant of the same pass.
VARIANTS = {
    "reid": {"tokens": "mean patch token"},
    "gate": {"replayed": "replayed [CLS] alone"},
    "saga": {"refined": "refined feature alone", "authors": "fused 2 : .2 : .05", "authors_equal":
             "fused 2 : .2 : .05 of equal spreads", "equal": "fused 1 : 1 : 1 of equal spreads"},
}


def title_of(row: str) -> str:
    """A row's name for people: "saga:refined" -> "SAGA: learned text anchors, refined feature alone"."""
    name, _, variant = row.partition(":")
    arm = ARMS[name]
    return arm.title + (f", {VARIANTS[arm.kind][variant]}" if variant else "")


def require_arms(names: Iterable[str]) -> None:
    """Raise ReanchorError for a name of `--arms` that is no training."""
    for name in names:
        arm = name.partition(":")[0]
        if name not in ARMS and arm in ARMS:  # a row of the tables
            raise ReanchorError(f"--arms: got {name!r}; allowed: arms without variants, which are judged with their "
                                f"arm; give {arm!r}")
        _require("--arms", name, ARMS)


def require_row(option: str, row: str) -> None:
    """Raise ReanchorError for a row of the tables, given as `option`, that there is not."""
    arm, colon, _ = row.partition(":")
    _require(option, row if arm in ARMS or not colon else arm,
             [arm, *(f"{arm}:{one}" for one in VARIANTS.get(ARMS[arm].kind, ()))] if arm in ARMS else ARMS)


def _require(option: str, name: str, allowed: Iterable[str]) -> None:
    if name not in allowed:
        near = difflib.get_close_matches(name, allowed, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ReanchorError(f"{option}: got {name!r}; {hint}allowed: {', '.join(allowed)}; give one of these")


def lacking(what: str, pairs: list[tuple[str, int]], step: str, out: Path) -> ReanchorError:
    """The error of arms and seeds that are not yet `what`, with the command of the `step` that makes them so."""
    arms, seeds = (list(dict.fromkeys(one)) for one in zip(*pairs, strict=True))
    listed = ", ".join(f"{arm} of seed {' '.join(str(seed) for name, seed in pairs if name == arm)}" for arm in arms)
    return ReanchorError(f"--arms, --seeds: got {listed}, not {what} in {out}; allowed: what is {what}; run `python -m "
                         f"benchmarks.study {step} --arms {' '.join(arms)} --seeds {' '.join(map(str, seeds))} "
                         f"--out {out}`")
