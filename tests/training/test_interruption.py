"""Told to stop: requests that wait or are raised, the training loop's last checkpoint, the stage's line and status."""

import importlib
import signal

import pytest
import torch
from toy_training import STEPS, Curve, make_job, same, train

import stages
from reanchor.interruption import Interrupted, held, let_through, request, waiting
from reanchor.training.loop import Trainer
from stages import stopping
from stages import train as training
from stages.runner import run_stage
from stages.tracking.store import connect

pytestmark = pytest.mark.slow

TERM, INT = int(signal.SIGTERM), int(signal.SIGINT)


def test_a_request_is_raised_at_once_where_nothing_holds_it():
    with pytest.raises(Interrupted, match="stopped by SIGTERM") as told:
        request(TERM)
    assert (told.value.number, told.value.kept) == (TERM, None) and not isinstance(told.value, Exception)


def test_a_held_request_waits_to_be_looked_for_and_is_raised_at_the_end():
    passed = []
    with pytest.raises(Interrupted, match="SIGINT"), held():
        assert waiting() == 0
        request(INT)
        assert waiting() == INT
        passed.append("the rest")
    assert passed == ["the rest"] and waiting() == 0


def test_within_held_work_a_part_lets_requests_through():
    with held():
        with pytest.raises(Interrupted), let_through():
            request(INT)
        request(TERM)  # held again
        with pytest.raises(Interrupted, match="SIGTERM"), let_through():
            pytest.fail("what waited is raised before the part begins")
        assert waiting() == 0


def test_another_error_ends_the_request_too():
    with pytest.raises(ZeroDivisionError), held():
        request(TERM)
        raise ZeroDivisionError
    assert waiting() == 0
    with held():
        pass


def asking_at(step):
    def at_step(number):
        if number == step:
            request(TERM)
    return at_step


@pytest.mark.parametrize("step", range(1, STEPS + 1))
def test_a_training_ends_its_step_keeps_it_and_goes_on_exactly(tmp_path, capsys, step):
    whole, outcome, curve = train(tmp_path / "whole.pt", every=0)
    with pytest.raises(Interrupted) as told:
        train(tmp_path / "a.pt", every=0, at_step=asking_at(step))
    epoch, within = divmod(step - 1, 3)
    assert told.value.kept == f"a checkpoint of epoch {epoch + 1}, step {within + 1}"
    ran = []
    again, resumed, curve_again = train(tmp_path / "a.pt", every=0, at_step=ran.append)
    assert len(ran) == STEPS - step and f"resumed at epoch {epoch + 1}, step {within + 1}" in capsys.readouterr().out
    assert same(whole, again) and resumed.history == outcome.history and curve_again.rows == curve.rows


def test_told_while_it_is_judged_a_training_keeps_the_epochs_steps(tmp_path):
    whole, outcome, _ = train(tmp_path / "whole.pt", every=0, scores=[1.0, 4.0, 3.0, 2.0])
    job = make_job(scores=[1.0])
    judge = job.validate

    def validate():
        if not (tmp_path / "a.pt").exists():  # the first epoch passes
            return judge()
        torch.rand(7)  # a judge that draws
        request(INT)
        pytest.fail("the request is raised at once")

    job.validate = validate
    with pytest.raises(Interrupted, match="SIGINT") as told:
        Trainer(job, tmp_path / "a.pt", "mark", 0, Curve()).run()
    assert told.value.kept == "a checkpoint of epoch 2, step 3"
    ran = []
    again, resumed, _ = train(tmp_path / "a.pt", every=0, scores=[4.0, 3.0, 2.0], at_step=ran.append)
    assert len(ran) == 6 and same(whole, again) and resumed.history == outcome.history


def test_of_several_ranks_none_leaves_the_others_in_the_midst_of_judging(tmp_path, monkeypatch):
    monkeypatch.setattr("reanchor.training.loop.world_size", lambda: 2)
    job, judged = make_job(scores=[1.0, 2.0, 3.0]), []

    def validate():
        request(INT)
        judged.append(True)
        return {"score": 1.0}

    job.validate = validate
    with pytest.raises(Interrupted, match="SIGINT") as told:
        Trainer(job, tmp_path / "a.pt", "mark", 0, Curve()).run()
    assert judged == [True] and told.value.kept == "a checkpoint of epoch 2, step 0" and (tmp_path / "a.pt").exists()


def test_told_while_a_row_is_logged_the_epoch_is_kept(tmp_path):
    class Slow(Curve):
        def log(self, step, values):
            super().log(step, values)
            if step == 6:
                request(TERM)

    whole, _, curve = train(tmp_path / "whole.pt", every=0)
    with pytest.raises(Interrupted):
        Trainer(make_job(), tmp_path / "a.pt", "mark", 0, Slow()).run()
    ran = []
    again, _, curve_again = train(tmp_path / "a.pt", every=0, at_step=ran.append)
    assert len(ran) == 6 and same(whole, again) and curve_again.rows == curve.rows


def test_one_rank_that_is_told_stops_them_all(tmp_path, monkeypatch):
    monkeypatch.setattr("reanchor.training.loop.largest", lambda value, device: max(value, INT))
    with pytest.raises(Interrupted, match="SIGINT"):
        train(tmp_path / "a.pt", every=0)
    assert (tmp_path / "a.pt").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stage_says_that_it_was_stopped_and_its_run_is_killed(workspace, capsys, request, number):
    (workspace / "params.yaml").write_text("{}\n")
    ours = signal.getsignal(number)
    before = signal.SIG_DFL if ours == signal.SIG_IGN else ours  # under nohup a closed terminal is ignored
    signal.signal(number, before)
    request.addfinalizer(lambda: signal.signal(number, ours))

    def body(run):
        run.recorder().log(1, {"loss": 1.0})
        signal.raise_signal(number)
        pytest.fail("outside of a training the request is raised at once")

    with pytest.raises(SystemExit) as ended:
        run_stage("saga", body)
    assert ended.value.code == 128 + number and signal.getsignal(number) is before
    assert capsys.readouterr().err == f"saga: stopped by {number.name}; run it again\n"
    client = connect(workspace)
    (run,) = client.search_runs([client.get_experiment_by_name("reanchor").experiment_id])
    assert run.info.status == "KILLED" and not (workspace / "reports/saga/metrics.json").exists()


def test_a_rank_that_follows_ends_its_step_and_says_nothing(workspace, capsys, monkeypatch):
    (workspace / "params.yaml").write_text("{}\n")

    def step(run):
        with held():
            signal.raise_signal(signal.SIGTERM)
            ended.append("the step")

    ended = []
    monkeypatch.setattr(training, "body", step)
    with pytest.raises(SystemExit) as status:
        training.follow("sdm")
    assert status.value.code == 143 and ended == ["the step"] and capsys.readouterr().err == ""


def test_an_ignored_signal_stays_ignored(workspace):
    (workspace / "params.yaml").write_text("{}\n")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as `nohup` and a script's `command &` set it
    try:
        run_stage("prepare", lambda run: signal.raise_signal(signal.SIGINT) or {"images": 3})
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("name", "expected"), [("-m", signal.SIG_DFL), ("pytest", signal.default_int_handler)])
def test_a_stage_is_quiet_while_it_imports_and_nobody_elses_ctrl_c_is_touched(monkeypatch, name, expected):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr("sys.argv", [name])
    try:
        importlib.reload(stages)
        assert signal.getsignal(signal.SIGINT) is expected
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_second_signal_ends_at_once_and_an_echo_of_the_first_does_not(monkeypatch):
    now, ended = [10.0], []
    monkeypatch.setattr(stopping.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(stopping.signal, "signal", lambda number, action: ended.append((number, action)))
    handler = stopping._Handler()
    monkeypatch.setattr(stopping.signal, "raise_signal", ended.append)
    with pytest.raises(Interrupted), held():
        handler(TERM, None)
        now[0] += 0.5
        handler(TERM, None)  # `timeout` sends to the process and to its group
        assert not ended
        now[0] += 0.6
        handler(INT, None)
        assert ended == [(INT, signal.SIG_DFL), INT]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_stage_that_gets_a_signal_goes_on_to_the_same_weights(workspace, capsys, number):
    (workspace / "params.yaml").write_text(f"runtime: {{threads: {torch.get_num_threads()}}}\n")
    whole, _, _ = train(workspace / "whole.pt", every=0)
    path, ran, trained = workspace / ".checkpoints/baseline-toy.pt", [], []

    def body(run):
        def at_step(step):
            ran.append(step)
            if len(ran) == 5:
                signal.raise_signal(number)

        trained.append(train(path, every=0, at_step=at_step)[0])
        return {}

    with pytest.raises(SystemExit) as ended:
        run_stage("baseline", body)
    assert ended.value.code == 128 + number and len(ran) == 5 and path.exists()
    assert capsys.readouterr().err == (f"baseline: stopped by {number.name}; "
                                       "a checkpoint of epoch 2, step 2 is kept: run it again to go on\n")
    run_stage("baseline", body)
    assert len(ran) == STEPS and same(trained[0], whole) and not path.exists()
