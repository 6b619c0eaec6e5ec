"""Stage `search`: every text-based method; sentences search the gallery, whole and partly occluded."""

from reanchor.methods.registry import methods
from reanchor.methods.searcher_factories import searcher_factories
from reanchor.retrieval.judge import judge
from reanchor.retrieval.opening import open_search_study
from reanchor.retrieval.outputs import write_skipped
from reanchor.training.device import choose_device
from stages.runner import StageRun, run_stage

NO_CAPTIONS = "no test image has a caption, so there is no sentence to search with"


def body(run: StageRun) -> dict:
    config = run.params.search
    study = open_search_study(run.root / "data/prepared", run.root / "data/occluded")
    if not len(study.sentences):
        print(f"skipped: {NO_CAPTIONS}", flush=True)
        return write_skipped(run.report, NO_CAPTIONS, by_sentence=True)
    wanted = config.methods
    if study.untrainable:  # where the stages of the others were skipped
        wanted = [name for name in wanted if not methods()[name].train]
        print(f"left out: {', '.join(sorted({*config.methods} - {*wanted}))}: {study.untrainable}", flush=True)
    if not wanted:
        return write_skipped(run.report, study.untrainable, by_sentence=True)
    device = choose_device(run.params.runtime.device)
    return judge(config, study, searcher_factories(wanted, run.root, device), run.report)


if __name__ == "__main__":
    run_stage("search", body)
