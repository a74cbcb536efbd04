"""`bo watch`: what a person sees on a terminal, and what goes into a log."""

import io
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import bo_client
import pytest
from bo_client.cli import live
from bo_client.cli.progress import Progress
from bo_client.cli.sparkline import sparkline
from rich.console import Console

NOW = datetime(2030, 1, 1, tzinfo=UTC)
State = bo_client.TrialState
SPACE = bo_client.SearchSpace([bo_client.FloatParameter("lr", 0.0, 1.0)])


def trial(number: int, began: float, ended: float | None = None, loss: float | None = None, **more) -> bo_client.Trial:
    """One that began and ended so many seconds from NOW."""
    final = None if loss is None else bo_client.Measurement({"loss": loss})
    state = State.RUNNING if ended is None else State.INFEASIBLE if loss is None else State.SUCCEEDED
    return bo_client.Trial(
        number,
        f"studies/s/trials/{number}",
        {"lr": 0.5},
        state,
        final_measurement=final,
        start_time=NOW + timedelta(seconds=began),
        end_time=None if ended is None else NOW + timedelta(seconds=ended),
        **more,
    )


def progress(*trials: bo_client.Trial, state: str = "ACTIVE", max_trials: int | None = 10, goal="minimize", **more):
    settings = {} if max_trials is None else {"max_trials": max_trials}
    metrics = (bo_client.Metric("loss", goal),)
    info = bo_client.StudyInfo("s", "studies/s", SPACE, metrics, bo_client.StudyState(state), settings=settings, **more)
    return Progress(info, {t.number: t for t in trials})


def seen(shown: Progress, width: int = 90) -> str:
    console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
    console.print(live.render(shown, NOW))
    return console.export_text()


def test_the_time_left_is_what_is_left_of_the_work() -> None:
    one_at_a_time = progress(trial(1, -20, -10, 1.0), trial(2, -10, 0, 1.0))
    assert one_at_a_time.left(NOW) == pytest.approx(8 * 10)
    half_way = progress(trial(1, -15, -5, 1.0), trial(2, -5))
    assert half_way.left(NOW) == pytest.approx(9 * 10 - 5)


def test_workers_share_the_work_that_is_left() -> None:
    two = progress(trial(1, -10, 0, 1.0), trial(2, -10, 0, 1.0), trial(3, 0), trial(4, 0))
    assert two.left(NOW) == pytest.approx(8 * 10 / 2)
    between_two_trials = progress(trial(1, -10, 0, 1.0), trial(2, -10, 0, 1.0), trial(3, 0))
    assert between_two_trials.left(NOW) == pytest.approx(8 * 10 / 2)


def test_a_night_without_workers_makes_nothing_slower() -> None:
    resumed = progress(trial(1, -36000, -35990, 1.0), trial(2, 0))
    assert resumed.left(NOW) == pytest.approx(9 * 10)


def test_nobody_can_say_how_long_an_endless_or_unbegun_study_takes() -> None:
    assert progress(trial(1, -10, 0, 1.0), max_trials=None).left(NOW) is None
    assert progress(trial(1, -10)).left(NOW) is None


def test_a_trial_that_takes_longer_than_usual_leaves_no_negative_time() -> None:
    assert progress(trial(1, -100, -90, 1.0), trial(2, -90), max_trials=2).left(NOW) == 0.0


def test_the_picture() -> None:
    running = trial(3, -5, latest_measurement=bo_client.Measurement({"loss": 0.75, "accuracy": 0.5}, step=2))
    shown = progress(
        trial(1, -30, -20, 1.25, labels={"role": "textbook-defaults"}),
        trial(2, -20, -10, 0.5),
        running,
        labels={"step": "epoch", "steps": "6"},
    )
    text = seen(shown)
    assert "2 of 10 ended" in text
    assert "0:00:30 elapsed, about 0:01:15 left" in text
    assert "loss 0.5 in trial 2; textbook defaults 1.25" in text
    assert "lr=0.5" in text
    assert re.search(r"trial 3 +epoch 2 of 6 +loss 0\.75 +0:00:05", text)


def of_several(*results: tuple[float, float, float], **more) -> Progress:
    """A study of two objectives and a bound, with trials that ended so."""
    metrics = (
        bo_client.Metric("loss", "minimize"),
        bo_client.Metric("score", "maximize"),
        bo_client.Metric.at_most("size", 5.0),
    )
    shown = progress(**more)
    trials = {
        n: replace(
            trial(n, n - 1, n, 0.0),
            final_measurement=bo_client.Measurement(dict(zip(("loss", "score", "size"), result, strict=True))),
        )
        for n, result in enumerate(results, start=1)
    }
    return Progress(replace(shown.study, metrics=metrics), trials)


def test_the_picture_of_several_objectives() -> None:
    text = seen(of_several((2.0, 9.0, 1.0), (3.0, 8.0, 1.0), (1.0, 7.0, 5.0), (0.5, 9.5, 6.0)))
    rows = [line.split() for line in text.split("results")[0].splitlines() if "score" in line]
    assert [row[-9:-1] for row in rows] == [
        ["trial", "3", "loss", "1", "score", "7", "size", "5"],
        ["trial", "1", "loss", "2", "score", "9", "size", "1"],
    ]
    assert "Pareto set" in text
    assert "no trial has a result within the bounds yet" in seen(of_several((1.0, 1.0, 6.0)))
    assert "and 4 more" in seen(of_several(*((float(n), float(n), 1.0) for n in range(12))))


def test_a_line_of_several_objectives() -> None:
    shown = of_several((2.0, 9.0, 1.0), (1.0, 7.0, 5.0), (0.5, 9.5, 6.0))
    lines = [live.ended_line(shown, one) for one in shown.trials.values()]
    assert lines[0].startswith(
        "trial 1 succeeded  loss 2, score 9, size 1  (3 of 10 ended; one of 2 in the Pareto set;"
    )
    assert lines[2].startswith("trial 3 succeeded  loss 0.5, score 9.5, size 6 ✗  (3 of 10 ended; 2 in the Pareto set;")
    early = of_several((1.0, 1.0, 6.0))
    assert "no result within the bounds yet" in live.ended_line(early, early.trials[1])


def test_the_picture_of_a_study_that_has_just_begun() -> None:
    text = seen(progress(trial(1, 0)))
    assert "no trial has a result yet" in text
    assert re.search(r"trial 1 +starting", text)
    assert "left" not in text
    assert "waiting for a worker" in seen(progress())


def test_the_picture_of_a_study_that_is_done() -> None:
    text = seen(progress(trial(1, -10, 0, 1.0), state="COMPLETED", max_trials=1))
    assert "1 of 1 ended" in text
    assert "completed" in text
    assert "left" not in text


def test_the_picture_without_a_limit_and_with_many_workers() -> None:
    text = seen(progress(*(trial(n, -1) for n in range(1, 40)), max_trials=None))
    assert "0 ended" in text
    assert "and 23 more" in text


def test_the_picture_without_a_limit_and_without_results() -> None:
    text = seen(progress(trial(1, -20, -10), trial(2, -10, 0)))
    assert re.search(r"^results +×× *$", text, re.MULTILINE)
    assert re.search(r"^latest +trial 2 +infeasible", text, re.MULTILINE)


def test_a_bar_for_each_result_the_taller_the_better() -> None:
    values = (4.0, 2.0, None, 3.0, 1.0)
    trials = [trial(n, n - 1, n, value) for n, value in enumerate(values, start=1)]
    shown = progress(*trials)
    bars = sparkline(shown.study, trials, shown.study.objective, 60)
    assert bars.plain == "▁▆×▃█"
    assert [bars.plain[span.start] for span in bars.spans if "green" in str(span.style)] == ["▁", "▆", "█"]
    assert sparkline(shown.study, trials, shown.study.objective, 2).plain == "▃█"
    assert "▁▆×▃█" in seen(shown)
    larger = progress(*trials, goal="maximize")
    assert sparkline(larger.study, trials, larger.study.objective, 60).plain == "█▃×▆▁"


def test_where_there_is_no_room_the_newest_results_are_seen() -> None:
    trials = [trial(n, n - 1, n, float(n)) for n in range(1, 60)]
    line = next(line for line in seen(progress(*trials), 40).splitlines() if line.startswith("results"))
    assert line.rstrip().endswith("▁")
    assert "█" not in line


def test_a_bar_beyond_a_bound_is_never_the_best() -> None:
    shown = of_several((2.0, 9.0, 1.0), (1.0, 9.0, 9.0))
    bars = sparkline(shown.study, list(shown.trials.values()), shown.study.objective, 60)
    assert [str(span.style) for span in bars.spans] == ["bold green", "red"]


def test_one_very_bad_result_flattens_no_bars() -> None:
    trials = [trial(n, n - 1, n, value) for n, value in enumerate((1e9, 5.0, 4.0, 3.0, 2.0, 1.0), start=1)]
    bars = sparkline(progress().study, trials, progress().study.objective, 60).plain
    assert bars[0] == "▁"
    assert bars[1:] == "▅▆▆▇█"


def test_the_latest_trials_are_told_last_first() -> None:
    text = seen(progress(*(trial(n, n - 1, n, float(n)) for n in range(1, 12))), 60)
    latest = [line for line in text.splitlines() if re.search(r"trial \d+.*succeeded", line)]
    assert [re.search(r"trial (\d+)", line)[1] for line in latest] == ["11", "10", "9", "8", "7", "6"]
    assert "loss 11" in latest[0]


def test_a_space_that_is_exhausted_is_done(bo, server) -> None:
    """No one has completed the study, and no trial will come: watching ends by itself."""
    space = bo_client.SearchSpace(
        [
            bo_client.CategoricalParameter("kind", ["a", "b"]),
            bo_client.IntParameter("n", 1, 2, activation=bo_client.Activation("kind", ["a"])),
        ]
    )
    study = server.client().create_study("small", space, "loss", goal="minimize")
    for value in (3.0, None, 1.0):
        (one,) = study.suggest()
        one.fail("DIVERGED") if value is None else one.complete(value)
    assert not Progress(study.info(), {t.number: t for t in study.trials()}).is_done
    (again,) = study.suggest()
    assert again.parameters == one.parameters
    again.complete(1.0)
    assert study.suggest().shortfall is bo_client.Shortfall.SPACE_EXHAUSTED
    lines = bo("watch", "small").output.splitlines()
    assert lines[-1].startswith("small has tried every configuration of its space: loss 1 in trial 3")
    shown = Progress(study.info(), {t.number: t for t in study.trials()})
    assert shown.is_done
    assert "has tried every configuration" in seen(shown)
    study.enqueue({"kind": "b"})
    assert not Progress(study.info(), {t.number: t for t in study.trials()}).is_done


@pytest.mark.parametrize("algorithm", ["quasi_random", "gaussian_process"])
def test_an_exhausted_space_is_done_once_no_paused_trial_will_go_on(bo, server, algorithm: str) -> None:
    space = bo_client.SearchSpace([bo_client.CategoricalParameter("kind", ["a", "b", "c"])])
    study = server.client().create_study(
        "small", space, "loss", goal="minimize", algorithm=algorithm, fidelity={"metric": "epoch", "max": 4}
    )
    while True:
        shown = Progress(study.info(), {t.number: t for t in study.trials()})
        suggestions = study.suggest(can_resume=True)
        if not suggestions:
            break
        assert not shown.is_done
        (one,) = suggestions
        for epoch in range(int(one.checkpoint_uri or 0) + 1, 5):
            if one.report(float(ord(one["kind"])), epoch, checkpoint_uri=str(epoch)).should_pause:
                one.pause()
                break
        else:
            one.complete(float(ord(one["kind"])))
    assert suggestions.shortfall is bo_client.Shortfall.SPACE_EXHAUSTED
    assert shown.is_done
    assert State.PAUSED in {t.state for t in shown.trials.values()}
    lines = bo("watch", "small").output.splitlines()
    assert lines[-1].startswith("small has tried every configuration of its space: loss 97 in trial")


def test_paused_trials_that_wait_for_a_worker_that_can_resume_are_told(capsys) -> None:
    paused = replace(trial(1, -20), state=State.PAUSED)
    waits = "1 trial waits for a worker that can resume"
    shown = progress(paused, resumable_count=1, revision=7)
    assert waits in seen(shown)
    assert not progress(paused, resumable_count=1, max_trials=None).is_exhausted
    news = bo_client.Change(shown.study, (paused,), (), 7)
    live.watch(replace(shown.study, revision=6), iter([news, replace(news, trials=())]), exit_when_done=True)
    assert capsys.readouterr().out.splitlines() == ["trial 1 paused", waits]  # once nothing has happened for a while


def test_what_training_in_parts_has_saved_is_seen_and_told(bo, server) -> None:
    fidelity = {"metric": "epoch", "max": 9}
    study = server.client().create_study("parts", SPACE, "loss", goal="minimize", fidelity=fidelity, max_trials=3)

    def objective(parameters, trial):
        for epoch in range(int(trial.checkpoint_uri or 0) + 1, 10):
            trial.report(parameters["lr"] + 1 / epoch, epoch, checkpoint_uri=str(epoch))
        return parameters["lr"]

    study.optimize(objective, can_resume=True)
    told = bo("watch", "parts").output.splitlines()
    saved = r"(1[1-9]|2[0-6]) of the 27 epochs of 3 whole trials"
    assert re.fullmatch(f"trained {saved}", told[-2])
    shown = Progress(study.info(), {t.number: t for t in study.trials()})
    assert re.search(f"^trained +{saved}", seen(shown), re.MULTILINE)


@pytest.mark.parametrize("width", [30, 60, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = seen(progress(trial(1, -20, -10, 0.123456789), trial(2, -10)), width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width


def test_the_larger_is_the_better_where_that_is_the_goal() -> None:
    assert progress(trial(1, -2, -1, 0.5), trial(2, -1, 0, 0.75), goal="maximize").best[0].number == 2


def test_lines_tell_what_was_known_then(bo, study) -> None:
    for value in (3.0, 1.0, 2.0, 5.0, 4.0, 0.5):
        study.suggest()[0].complete({"loss": value})
    lines = bo("watch", "s").output.splitlines()
    assert "1 of 6 ended; best 3 in trial 1" in lines[0]
    assert "3 of 6 ended; best 1 in trial 2" in lines[2]
    assert len(lines) == 7


def test_a_long_study_is_told_to_its_end(bo, server, space) -> None:
    """More trials than one message holds."""
    study = server.client().create_study("long", space, "loss", goal="minimize", max_trials=250)
    for count in (100, 100, 50):
        for one in study.suggest(count):
            one.complete(float(one.number))
    assert len(bo("watch", "long").output.splitlines()) == 251


PROGRAM = """
import pathlib, signal, threading, time, bo_client
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit that it is ignored
from bo_client.cli.main import main
from bo_client.testing import InProcessServer
client = InProcessServer().client()
space = bo_client.SearchSpace([bo_client.FloatParameter("lr", 0.0, 1.0)])
study = client.create_study("s", space, "loss", goal="minimize", max_trials={max_trials})
def shown(text, trial):
    while not pathlib.Path({folder!r}, f"{{text}} {{trial.number}}").exists():
        time.sleep(0.01)
def objective(parameters, trial):
    shown("starting", trial)
    trial.report(0.5, step=3)
    shown("step 3", trial)
    return 0.25
threading.Thread(target=study.optimize, args=(objective,), daemon=True).start()
main(["watch", "s"], obj=client)
"""


@pytest.fixture
def terminal(tmp_path: Path) -> Callable[..., tuple[str, int]]:
    """Runs the program on a terminal of its own; what it wrote there, and its exit code.

    Each trial goes on when the terminal shows how far it is.
    """

    def run(max_trials: int, interrupt: signal.Signals | None = None) -> tuple[str, int]:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-c", PROGRAM.format(max_trials=max_trials, folder=str(tmp_path))]
        expected = [(text, number) for number in range(1, max_trials + 1) for text in ("starting", "step 3")]
        looked = 0
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "90", "LINES": "30"}
        text = b""
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
            os.close(theirs)
            late = threading.Timer(240.0, process.kill)
            late.start()
            while True:
                try:
                    chunk = os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
                text += chunk
                while expected and (found := text.find(expected[0][0].encode(), looked)) >= 0:
                    looked = found + 1
                    shown, number = expected.pop(0)
                    if interrupt is None or shown != "step 3":
                        (tmp_path / f"{shown} {number}").touch()
                if interrupt is not None and b"step 3" in text:
                    process.send_signal(interrupt)
                    interrupt = None
                if not chunk:
                    break
            os.close(ours)
            late.cancel()
        return text.decode(), process.returncode

    return run


def test_on_a_terminal_it_moves_and_ends_by_itself(terminal) -> None:
    text, code = terminal(max_trials=2)
    assert code == 0
    assert all(part in text for part in ("starting", "step 3", "0 of 2 ended", "1 of 2 ended", "2 of 2 ended"))
    assert "\x1b[?25l" in text
    assert text.rindex("\x1b[?25h") > text.rindex("2 of 2 ended")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_it_gives_the_cursor_back(terminal, number, code) -> None:
    text, found = terminal(max_trials=1000, interrupt=number)  # it would go on until it is killed
    assert found == code
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "Traceback" not in text
