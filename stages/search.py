"""Stage `search`: every text-based method; sentences search the gallery, whole and partly occluded."""

from reanchor.methods.registry import methods
from reanchor.search.judge import judge, searcher_factories
from reanchor.search.outputs import write_skipped
from reanchor.search.study import load_search_study
from reanchor.training.device import choose_device
from stages.runner import StageRun, run_stage

NO_CAPTIONS = "no test image has a caption, so there is no sentence to search with"


def body(run: StageRun) -> dict:
    config = run.params.search
    study = load_search_study(run.root / "data/prepared", run.root / "data/occluded")
    if not len(study.sentences):
        print(f"skipped: {NO_CAPTIONS}", flush=True)
        return write_skipped(run.report, NO_CAPTIONS)
    wanted = config.methods
    if study.untrainable:  # where the stages of the others were skipped
        wanted = [name for name in wanted if not methods()[name].train]
        print(f"left out: {', '.join(sorted({*config.methods} - {*wanted}))}: {study.untrainable}", flush=True)
    if not wanted:
        return write_skipped(run.report, study.untrainable)
    device = choose_device(run.params.runtime.device)
    return judge(config, study, searcher_factories(wanted, run.root, device), run.report)


if __name__ == "__main__":
    run_stage("search", body)
