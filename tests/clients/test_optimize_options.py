"""The options of Study.optimize: threads, timeouts, callbacks, exceptions that are caught, and the progress bar."""

import io
import sys
import threading
import time

import bo_client
import pytest

State = bo_client.TrialState
PATIENCE_S = 240.0


@pytest.fixture
def study(server, space) -> bo_client.Study:
    return server.client().create_study("s", space, "loss", goal="minimize", algorithm="quasi_random")


def states(study):
    return [t.state for t in study.trials()]


def test_so_many_trials_run_at_once(study) -> None:
    together = threading.Barrier(4)

    def objective(parameters):
        together.wait(PATIENCE_S)
        return parameters["lr"]

    best = study.optimize(objective, n_trials=8, n_jobs=4)
    assert states(study) == [State.SUCCEEDED] * 8
    assert best.value("loss") == study.best_value


def test_minus_one_is_a_thread_for_each_processor(study, monkeypatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    together = threading.Barrier(3)
    study.optimize(lambda p: float(together.wait(PATIENCE_S)), n_trials=3, n_jobs=-1)
    assert states(study) == [State.SUCCEEDED] * 3


def test_an_exception_that_is_raised_ends_all_threads(study) -> None:
    def broken(parameters):
        raise ZeroDivisionError("by nothing")

    with pytest.raises(ZeroDivisionError):
        study.optimize(broken, n_trials=100, n_jobs=4)
    assert len(list(study.trials())) < 20


def test_an_interruption_gives_the_trials_of_all_threads_back(study, monkeypatch) -> None:
    """Ctrl-C reaches the main thread alone, which waits for the others."""
    running, ended = threading.Barrier(3), threading.Event()

    def interrupted(thread, timeout=None):
        running.wait(PATIENCE_S)
        raise KeyboardInterrupt

    def objective(parameters):
        running.wait(PATIENCE_S)
        ended.wait(PATIENCE_S)
        return 1.0

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            study.optimize(objective, n_trials=2, n_jobs=2)
    assert states(study) == [State.QUEUED] * 2
    ended.set()


def test_after_the_timeout_no_trial_begins(study, caplog) -> None:
    caplog.set_level("INFO", "bo_client")
    deadline = time.monotonic() + 3

    def objective(parameters):
        while time.monotonic() <= deadline:  # the trial that runs is finished
            time.sleep(0.05)
        return 1.0

    study.optimize(objective, n_trials=50, timeout=2.5)
    assert states(study) in ([State.SUCCEEDED], [])  # none where the machine took 2.5 s to begin
    assert caplog.records[-1].levelname == "INFO"
    assert caplog.messages[-1].endswith("the timeout of 2.5 s has passed")


def test_a_timeout_ends_the_wait_for_others(server, space) -> None:
    study = server.client().create_study("one", space, "loss", goal="minimize", max_trials=1)
    study.suggest(worker_id="other")
    assert study.optimize(lambda parameters: 1.0, timeout=0.3) is None


def test_callbacks_see_each_trial_that_has_ended_and_may_stop_the_run(study, caplog) -> None:
    caplog.set_level("INFO", "bo_client")
    seen = []

    def stop_at_three(study, trial):
        if trial.number == 3:
            study.stop()

    callbacks = [lambda study, trial: seen.append((study.id, trial.number, trial.state)), stop_at_three]
    study.optimize(lambda p: 1.0 if p["lr"] else 0.0, n_trials=100, callbacks=callbacks)
    assert seen == [("s", number, State.SUCCEEDED) for number in (1, 2, 3)]
    assert caplog.messages[-1].endswith("ended after 3 of 100 trials (3 succeeded, 0 failed): stop() was called")
    with pytest.raises(bo_client.FailedPrecondition, match=r"no optimize of this object runs.*call finish\(\)"):
        study.stop()


def test_what_a_callback_raises_ends_the_run(study) -> None:
    def broken(study, trial):
        raise LookupError("no such table")

    for n_jobs in (1, 2):
        with pytest.raises(LookupError, match="no such table"):
            study.optimize(lambda p: 1.0, n_trials=50, callbacks=[broken], n_jobs=n_jobs)
    assert len(list(study.trials())) < 10


def test_exceptions_that_are_caught_never_end_the_run(study) -> None:
    def broken(parameters):
        raise ValueError("no such layer")

    assert study.optimize(broken, n_trials=6, catch=(ValueError,), raise_errors=True) is None
    failed = list(study.trials())
    assert sum(trial.attempt for trial in failed) == 6
    assert {trial.failure.reason for trial in failed} == {bo_client.FailureReason.CRASHED}
    with pytest.raises(ValueError, match="no such layer"):
        study.optimize(broken, n_trials=6, catch=OSError)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"n_jobs": 0}, "n_jobs: is 0; give the number of threads, or -1 for one per CPU"),
        ({"n_jobs": 2.0}, "n_jobs: is 2.0"),
        ({"timeout": 0}, "timeout: is 0; give seconds above 0, or None"),
        ({"timeout": "1m"}, "timeout: is '1m'"),
        ({"timeout": float("nan")}, "timeout: is nan"),
        ({"callbacks": print}, "callbacks: are .*give a list of functions"),
        ({"callbacks": [1]}, "callbacks: are .*give a list of functions"),
        ({"catch": "ValueError"}, "catch: is 'ValueError'; give classes of exceptions"),
        ({"catch": (KeyboardInterrupt,)}, "catch: is .*give classes of exceptions"),
    ],
)
def test_options_that_cannot_be_are_refused_before_a_trial_is_taken(study, options, why) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=why):
        study.optimize(lambda parameters: 1.0, n_trials=1, **options)
    assert len(study.trials()) == 0


class Terminal(io.StringIO):
    """Standard error as a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_progress_line_is_rewritten_on_a_terminal(study, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(sys, "stderr", Terminal())
    values = iter([3.0, 1.0, 2.0])

    def objective(parameters):
        value = next(values)
        if value == 2.0:
            raise MemoryError
        return value

    study.optimize(objective, n_trials=3, progress=True)
    last = sys.stderr.getvalue().rpartition("\r\x1b[K")[2]
    assert last.startswith("s: 3/3 trials, 1 failed, best loss 1, 00:0")
    assert last.endswith("\n")


def test_elsewhere_progress_is_shown_on_request_alone(study, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    study.optimize(lambda p: 1.0, n_trials=2)
    assert sys.stderr.getvalue() == ""
    study.optimize(lambda p: 1.0, n_trials=2, progress=True)
    assert sys.stderr.getvalue().splitlines()[-1].startswith("s: 2/2 trials, best loss 1, ")
    assert "\x1b" not in sys.stderr.getvalue()


def test_a_short_run_on_a_terminal_shows_no_progress(study, monkeypatch) -> None:
    monkeypatch.setattr("bo_client.progress_bar.DELAY_S", 1e9)
    monkeypatch.setattr(sys, "stderr", Terminal())
    study.optimize(lambda p: 1.0, n_trials=2)
    assert sys.stderr.getvalue() == ""


def test_tqdm_shows_the_progress_where_it_is_installed(study, capsys) -> None:
    pytest.importorskip("tqdm")
    study.optimize(lambda p: 1.0, n_trials=3, progress=True)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "best loss 1" in shown
