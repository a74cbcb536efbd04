"""What `bo study` and `bo trial` show: selections, what fits a terminal, and files out and in."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import bo_client
import pytest
from bo_client.cli.main import main
from bo_client.testing import InProcessServer
from click.testing import CliRunner

State = bo_client.TrialState


def listed(output: str) -> list[int]:
    return [int(line.split()[0]) for line in output.splitlines() if re.match(r"\d+ [* ]", line)]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ((), [1, 2, 3, 4, 5]),
        (("--limit", 2), [4, 5]),
        (("--limit", 0), [1, 2, 3, 4, 5]),
        (("--reverse", "--limit", 2), [5, 4]),
        (("--sort", "loss"), [2, 1, 3, 4, 5]),
        (("--sort", "loss", "--reverse"), [1, 2, 3, 4, 5]),
        (("--sort", "lr", "--limit", 1, "--state", "succeeded", "--where", "lr=0.01"), [1]),
        (("--state", "succeeded", "--state", "RUNNING"), [1, 2, 4]),
        (("--where", "loss<1"), [2]),
        (("--where", "loss>=0.75", "--where", "accuracy != 0.8"), [1]),
        (("--where", "failure=diverged"), [3]),
        (("--where", "role=textbook-defaults"), [1]),
        (("--where", "trial>4"), [5]),
        (("--where", "trial>1 loss=0.75,9"), [2]),
        (("--where", "from=surrogate,quasi_random", "--where", "state != failed"), [2, 3, 4]),
        (("--sort", "loss", "--limit", 2), [2, 1]),
        (("--sort", "lr", "--reverse", "--limit", 1), [5]),
        (("--sort", "loss", "--reverse", "--limit", 3, "--state", "succeeded", "--state", "queued"), [1, 2, 5]),
        (("--sort", "role", "--limit", 2), [1, 2]),
    ],
)
def test_trials_are_selected_and_sorted(bo, seen, options, numbers) -> None:
    for command in (("trial", "list"), ("study", "show")):
        assert listed(bo(*command, "s", *options).output) == numbers
    records = json.loads(bo("trial", "list", "s", "--json", *options).output)
    assert [record["number"] for record in records] == numbers


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (
            ("--sort", "depth"),
            "there is no column 'depth'; choose one of number, state, loss, accuracy, lr, norm",
        ),
        (("--where", "depth=1"), "there is no column 'depth'"),
        (("--where", "loss"), "is not a condition such as 'loss<0.3'"),
        (("--where", "loss<low"), "loss is a number, and 'low' is not"),
        (("--where", "norm<batch"), "norm is text; compare it with = or !="),
        (("--state", "done"), "succeeded"),
        (("--limit", -1), "-1"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(bo, seen, options, hint) -> None:
    done = bo("trial", "list", "s", *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert hint in done.stderr.lower() or hint in done.stderr


class Recorded:
    """A transport that keeps the orders of pages of trials; that of an old server ignores them."""

    def __init__(self, server: InProcessServer, is_old: bool) -> None:
        self.server, self.is_old, self.orders = server, is_old, []

    def call(self, method: str, request: Any, timeout: float | None) -> Any:
        if method == "ListTrials":
            self.orders.append(request.order_by)
        if self.is_old and method == "ListTrials":
            request = type(request).FromString(request.SerializeToString())
            request.ClearField("order_by")
        answer = self.server.call(method, request, timeout)
        if self.is_old and method == "ListTrials":
            answer.ClearField("order_by")
        return answer

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("options", "orders", "numbers"),
    [
        (("--sort", "loss", "--limit", 2), ["metrics.loss"], [2, 1]),
        (("--sort", "time", "--reverse", "--limit", 9), ["duration desc"], None),
        (("--limit", 2), ["number desc"], [4, 5]),
        (("--limit", 2, "--reverse"), ["number desc"], [5, 4]),
        (("--where", "loss<1", "--limit", 1), [""], [2]),
        (("--sort", "role", "--limit", 1), [""], [1]),
        (("--sort", "loss"), [""], [2, 1, 3, 4, 5]),
    ],
)
def test_only_the_trials_that_are_shown_are_read(server, seen, options, orders, numbers) -> None:
    for is_old in (False, True):
        transport = Recorded(server, is_old)
        arguments = ["trial", "list", "s", *map(str, options)]
        listing = CliRunner().invoke(main, arguments, obj=bo_client.Client(transport, 30.0, 0.0))
        assert listed(listing.output) == numbers or numbers is None
        assert transport.orders == ([*orders, ""] if is_old and orders != [""] else orders)
        assert "of 5 trials" in listing.output or len(listed(listing.output)) == 5


def test_studies_are_filtered_sorted_and_limited(bo, server, space) -> None:
    for name in ("b", "a", "c"):
        server.client().create_study(name, space, "loss", goal="minimize")
    bo("study", "pause", "a")
    ids = [[info["id"] for info in json.loads(bo("study", "list", "--json", *options).output)] for options in (
        (), ("--state", "paused"), ("--sort", "changed", "--limit", 1)
    )]  # fmt: skip
    assert ids == [["a", "b", "c"], ["a"], ["a"]]


@pytest.fixture
def wide(server) -> bo_client.Study:
    """A study with long names, whose table does not fit."""
    parameters = [bo_client.FloatParameter(f"a_rather_long_parameter_{i}", 0.0, 1.0) for i in range(6)]
    study = server.client().create_study(
        "a-study-with-a-rather-long-name",
        parameters,
        [bo_client.Metric("loss", "minimize"), bo_client.Metric.at_most("latency_ms", 50.0)],
    )
    for i in range(40):
        study.add({p.name: 0.5 for p in parameters}, {"loss": i, "latency_ms": 30.0 + i})
    (running,) = study.suggest(worker_id="a-machine-with-a-long-name.internal:4312:0")
    running.fail("OUT_OF_MEMORY", "there was not enough memory for " + "a long message " * 10)
    return study


def on_terminal(client: bo_client.Client, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> list[str]:
    """The lines of a command on a terminal of 80 columns."""
    from bo_client.cli import selection, tables

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    with monkeypatch.context() as patch:
        terminal = Terminal()
        patch.setattr(tables.sys, "stdout", terminal)
        assert selection.sys.stdout is terminal
        main([str(a) for a in arguments], obj=client, standalone_mode=False)
        return terminal.getvalue().splitlines()


@pytest.mark.parametrize(
    "arguments",
    [
        ("study", "list"),
        ("study", "show", "ID"),
        ("trial", "list", "ID", "--sort", "loss"),
        ("trial", "show", "ID", 1),
        ("trial", "show", "ID", 41),
        ("study", "workers", "ID"),
        ("best", "ID"),
    ],
    ids=lambda arguments: " ".join(map(str, arguments)),
)
def test_each_table_fits_80_columns(server, wide, monkeypatch, capsys, arguments) -> None:
    lines = on_terminal(server.client(), monkeypatch, *(wide.id if a == "ID" else a for a in arguments))
    assert lines
    assert [line for line in lines if len(line.rstrip()) > 80] == []


def test_a_table_says_when_it_is_cut(server, wide, monkeypatch) -> None:
    text = "\n".join(on_terminal(server.client(), monkeypatch, "trial", "list", wide.id))
    assert "30 of 41 trials are shown; --limit 0 shows all." in text
    assert "Not shown for lack of width: from, worker." in text
    assert listed(text) == list(range(12, 42))


# Files.
ONE_LEFT, TWO_LEFT = "; 1 trial without a result left out\n", "; 2 trials without a result left out\n"


def test_the_format_of_an_export_is_that_of_the_files_ending(bo, seen, tmp_path: Path) -> None:
    for name in ("s.csv", "s.JSON"):
        assert bo("study", "export", "s", "-o", tmp_path / name).exit_code == 0
    assert next(csv.reader(io.StringIO((tmp_path / "s.csv").read_text())))[0] == "trial"
    assert json.loads((tmp_path / "s.JSON").read_text())["study"]["id"] == "s"
    for output in ((), ("-o", tmp_path / "s.xml")):
        refused = bo("study", "export", "s", *output)
        assert (refused.exit_code, "give --format csv or --format json" in refused.stderr) == (2, True)


def test_an_exported_study_is_imported_once(bo, server, seen, tmp_path: Path) -> None:
    bo("study", "export", "s", "-o", tmp_path / "s.json")
    for _ in range(2):
        assert bo("study", "import", "t", tmp_path / "s.json").output == "studies/t: 3 results imported" + TWO_LEFT
    new = server.client().study("t")
    assert new.definition.space == seen.definition.space
    assert new.definition.metrics == seen.definition.metrics
    assert new.definition.settings == seen.definition.settings
    found = [(t.state, t.value("loss"), t.parameters, t.labels.get("role")) for t in new.trials()]
    assert found == [(t.state, t.value("loss"), t.parameters, t.labels.get("role")) for t in list(seen.trials())[:3]]


def curves(study: bo_client.Study) -> list[tuple[object, list[tuple[int, float | None, dict[str, str]]]]]:
    """Return the learning curve of each result, and the step and time of its final measurement."""
    trials = study.trials(["SUCCEEDED", "INFEASIBLE"], full=True)
    finals = [(t.final_measurement.step, t.final_measurement.elapsed) if t.final_measurement else None for t in trials]
    points = [[(m.step, m.elapsed, {k: repr(v) for k, v in m.metrics.items()}) for m in t.measurements] for t in trials]
    return list(zip(finals, points, strict=True))


def test_learning_curves_survive_export_import_and_copy(bo, server, seen, tmp_path: Path) -> None:
    (trial,) = seen.suggest()
    trial.report({"loss": 0.5}, 1, elapsed=2.5)
    trial.report({"loss": float("nan"), "accuracy": float("inf")}, 7)
    trial.complete({"loss": 0.25}, step=7, elapsed=9.0)
    (failed,) = seen.suggest()
    failed.report({"loss": 1e9}, 1)
    failed.fail("DIVERGED")
    bo("study", "export", "s", "-o", tmp_path / "s.json")
    for _ in range(2):
        assert bo("study", "import", "t", tmp_path / "s.json").output == "studies/t: 5 results imported" + ONE_LEFT
    bo("study", "copy", "t", "u")
    expected = curves(seen)
    assert [len(points) for _, points in expected] == [2, 1, 0, 2, 1]
    assert expected[3][0] == (7, 9.0)
    assert curves(server.client().study("t")) == expected
    assert curves(server.client().study("u")) == expected


def test_stopped_trials_and_notes_survive_export_import_and_copy(bo, server, seen, tmp_path: Path) -> None:
    reported, silent = seen.suggest(2)
    reported.report({"loss": 0.5, "accuracy": 0.1}, 3, elapsed=2.5)
    for trial in (reported, silent):
        seen.stop_trial(trial.number, "no hope")
    reported.complete({"loss": 0.5, "accuracy": 0.1}, step=3)
    silent.fail("PREEMPTED")
    assert [seen.trial(n).state for n in (reported.number, silent.number)] == [State.STOPPED] * 2
    seen.set_note(reported.number, "as expected #slow")
    bo("study", "export", "s", "-o", tmp_path / "s.json")
    left_out = len(seen.trials()) - 4
    end = f"; {left_out} trials without a result left out\n"
    assert bo("study", "import", "t", tmp_path / "s.json").output == f"studies/t: 4 results imported{end}"
    assert bo("study", "copy", "s", "u").output.endswith(end)
    for name in ("t", "u"):
        new = server.client().study(name)
        (trial,) = new.trials(["STOPPED"], full=True)
        assert (trial.value("loss"), trial.stop_reason, trial.note.text) == (0.5, "no hope", "as expected #slow")
        assert [(m.step, m.elapsed) for m in trial.measurements] == [(3, 2.5)]
    new.set_note(trial.number, "edited")
    bo("study", "copy", "s", "u")
    assert (new.trial(trial.number).note.text, len(new.trials())) == ("edited", 4)
    bo("study", "export", "s", "-o", tmp_path / "s.csv")
    server.client().create_study("v", seen.definition.space, seen.definition.metrics)
    assert bo("study", "import", "v", tmp_path / "s.csv").output == f"studies/v: 4 results imported{end}"
    (trial,) = server.client().study("v").trials(["STOPPED"])
    assert (trial.value("loss"), trial.stop_reason) == (0.5, "stopped by USER")


def test_a_curve_that_is_too_large_for_a_request_keeps_each_second_step(study) -> None:
    from bo_client.models import Measurement

    metrics = {f"{'metric' * 20}_{i:02}": float(i) for i in range(64)}
    curve = [Measurement(metrics, step) for step in range(400)]
    added = study.add({"lr": 0.1, "norm": "batch"}, {"loss": 1.0, "accuracy": 1.0}, curve=curve)
    assert [m.step for m in study.trial(added.number).measurements] == list(range(1, 400, 2))


def test_a_table_of_results_is_imported(bo, server, study, tmp_path: Path) -> None:
    file = tmp_path / "past.csv"
    file.write_text(
        "lr,norm,groups,loss,accuracy,comment,state,failure\n"
        "0.1,batch,,0.5,0.9,good,,\n"
        "0.2,group,3,,,,INFEASIBLE,OUT_OF_MEMORY\n"
        "0.3,batch,,,,never finished,,\n"
    )
    assert bo("study", "import", "s", file).output == "studies/s: 2 results imported" + ONE_LEFT
    file.write_text(file.read_text() + "0.4,batch,,0.25,,,,\n")
    bo("study", "import", "s", file)
    (file := tmp_path / "more.csv").write_text("lr,norm,groups,loss\n0.5,batch,,0.75\n")
    bo("study", "import", "s", file)
    done, failed, *others = study.trials()
    assert [trial.value("loss") for trial in others] == [0.25, 0.75]
    assert done.final_measurement.metrics == {"loss": 0.5, "accuracy": 0.9}
    assert (failed.state, failed.parameters["groups"]) == (State.INFEASIBLE, 3)


@pytest.mark.parametrize(
    ("name", "content", "hint"),
    [
        ("a.csv", "lr,loss\n1,2\n", "has no column norm, groups"),
        ("a.csv", "lr,norm,groups,loss\n0.1,batch,,much\n", "row 1: loss: is 'much'; give a finite number"),
        ("a.csv", "lr,norm,groups,loss\nfast,batch,,1\n", "row 1"),
        ("a.json", "{", "is not a JSON file of `bo study export` (line 1"),
        ("a.json", "[]", "is not a JSON file of `bo study export`"),
        ("a.json", '{"study": {"parameters": [{"type": "tree"}]}}', "is not a JSON file of `bo study export`"),
        ("missing.json", None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_in_one_line(bo, study, tmp_path: Path, name, content, hint) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    done = bo("study", "import", "s", tmp_path / name)
    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert hint in done.stderr


def test_a_study_is_copied_renamed_and_updated(bo, server, seen) -> None:
    assert bo("study", "copy", "s", "t").output.startswith("studies/t: 3 parameters, 3 trials")
    assert len(server.client().study("t").trials()) == 3
    bo("study", "rename", "t", "A second try")
    assert server.client().study("t").info().display_name == "A second try"
    done = bo("study", "update", "t", "--max-trials", 12, "--stopping", "median")
    assert done.output == "study t: max_trials is 12, stopping is median\n"
    assert bo("study", "update", "t").exit_code == 2
