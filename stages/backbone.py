"""Stage `backbone`: obtain a CLIP."""

from reanchor.backbone.load import local_file, open_clip_model, shipped
from reanchor.backbone.pretrain import pretrain
from reanchor.files import atomic_directory
from stages.runner import StageRun, run_stage


def body(run: StageRun) -> dict:
    config, prepare, runtime = run.params.backbone, run.params.prepare, run.params.runtime
    size = (prepare.height, prepare.width)
    if config.source == "pretrain":
        clip = pretrain(config.pretrain, size, run.root / ".checkpoints", runtime, run.recorder())
        clip.spec.stride = config.stride
    else:
        clip = {"shipped": shipped, "open_clip": open_clip_model, "file": local_file}[config.source](config, size)
    with atomic_directory(run.root / "models/backbone") as folder:
        clip.save(folder)
    run.log_model(run.root / "models/backbone")
    return clip.figures


if __name__ == "__main__":
    run_stage("backbone", body)
