"""Stage `evaluate`: every method under every condition of the test identities."""

from reanchor.methods.embedder_factories import embedder_factories
from reanchor.retrieval.judge import judge
from reanchor.retrieval.opening import open_study
from reanchor.retrieval.outputs import write_skipped
from reanchor.training.device import choose_device
from stages.runner import StageRun, run_stage

NO_QUERIES = "the dataset has no query images: its sentences search the gallery (stage search)"


def body(run: StageRun) -> dict:
    config = run.params.evaluate
    study = open_study(run.root / "data/prepared", run.root / "data/occluded")
    if not len(study.query_rows):
        print(f"skipped: {NO_QUERIES}", flush=True)
        return write_skipped(run.report, NO_QUERIES)
    device = choose_device(run.params.runtime.device)
    return judge(config, study, embedder_factories(config, run.root, device), run.report)


if __name__ == "__main__":
    run_stage("evaluate", body)
