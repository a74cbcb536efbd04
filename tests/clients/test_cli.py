"""Every command of `bo`, as people and scripts use it."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import bo_client
import click
import pytest
from bo_client.cli.main import ALIASES, main
from click.testing import CliRunner

State = bo_client.TrialState

FILE = """
parameters:
  lr: {type: float, low: 1.0e-5, high: 0.1, scale: log}
  layers: {type: int, low: 1, high: 4}
metrics: {loss: minimize}
settings: {max_trials: 30}
"""


def test_create(bo, server, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(FILE)
    done = bo("create", "new", "--space", file, "--seed", 5, "--label", "team=vision")
    assert done.output == "studies/new: 2 parameters, minimize loss\n"
    info = server.client().study("new").info()
    assert (info.settings["max_trials"], info.settings["seed"], info.labels) == (30, 5, {"team": "vision"})


SEVERAL = FILE.replace("loss: minimize", "loss: minimize, score: {goal: maximize, unit: '%'}, latency: {at_most: 50}")


def test_create_with_several_metrics(bo, server, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(SEVERAL)
    done = bo("create", "new", "--space", file)
    assert done.output == "studies/new: 2 parameters, minimize loss, maximize score (%), latency at most 50\n"
    command = next(line for line in bo("suggest", "new").output.splitlines() if "bo trial complete" in line)
    assert command.endswith("loss=VALUE score=VALUE latency=VALUE")
    assert bo(*command.replace("VALUE", "0.5").split()[1:]).output == "trial 1 SUCCEEDED\n"
    refused = bo("create", "other", "--space", file, "--acquisition", "log_pi")
    assert (refused.exit_code, "suggestion.acquisition" in refused.stderr) == (1, True)


@pytest.mark.parametrize(("option", "kept"), [("--per-cost", True), ("--no-per-cost", False), (None, True)])
def test_create_with_an_acquisition_and_cost(bo, server, tmp_path: Path, option, kept) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(FILE.replace("max_trials: 30", "acquisition: ucb, per_cost: true"))
    assert bo("create", "new", "--space", file, "--acquisition", "portfolio", *[option] * bool(option)).exit_code == 0
    found = server.client().study("new").info().settings
    assert (found["acquisition"], found.get("per_cost", False)) == ("portfolio", kept)


def test_create_tells_every_mistake_in_the_file(bo, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("parameters: {lr: {type: flot, low: 1}}\nmetrics: {loss: downwards}\n")
    done = bo("create", "new", "--space", file)
    assert done.exit_code == 1
    assert "parameters.lr" in done.stderr
    assert "metrics.loss" in done.stderr


def test_create_from_earlier_studies(bo, server, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(FILE)
    for name in ("first", "second"):
        bo("create", name, "--space", file)
    assert "starts" not in bo("show", "first").output
    file.write_text(FILE.replace("max_trials: 30", "warm_start_studies: [first]"))
    assert bo("create", "third", "--space", file).exit_code == 0
    assert server.client().study("third").info().warm_start_studies == ("first",)
    bo("create", "new", "--space", file, "--warm-start", "second", "--warm-start", "third")
    assert "\nstarts    from second, third\n" in bo("show", "new").output
    record = json.loads(bo("show", "new", "--json").output)
    assert record["study"]["settings"]["warm_start_studies"] == ["second", "third"]
    refused = bo("create", "bad", "--space", file, "--warm-start", "missing")
    assert refused.exit_code == 1
    assert "warm_start_studies[0]: is 'studies/missing', which doesn't exist" in refused.stderr


def test_studies(bo, seen) -> None:
    assert re.search(r"^s +ACTIVE +3 of 6 +1 +minimize loss", bo("studies").output, re.MULTILINE)
    assert [s["id"] for s in json.loads(bo("studies", "--json").output)] == ["s"]


def test_show(bo, seen) -> None:
    text = bo("show", "s").output
    assert "0.75 in trial 2" in text
    assert re.search(r"^2 \* +SUCCEEDED +0\.75", text, re.MULTILINE)
    assert re.search(r"^3 +INFEASIBLE", text, re.MULTILINE)
    record = json.loads(bo("show", "s", "--json").output)
    assert [t["state"] for t in record["trials"]] == ["SUCCEEDED", "SUCCEEDED", "INFEASIBLE", "RUNNING", "QUEUED"]
    assert [m["metrics"]["loss"] for m in record["trials"][0]["measurements"]] == [2.0, 1.5]


def test_best(bo, seen) -> None:
    assert "0.75" in bo("best", "s").output
    assert [t["number"] for t in json.loads(bo("best", "s", "--count", 2, "--json").output)] == [2, 1]


@pytest.fixture
def several(server, space) -> bo_client.Study:
    """Two objectives and a bound; of four results one is beyond it, one is beaten, two are best."""
    metrics = [
        bo_client.Metric("loss", "minimize", unit="nats"),
        bo_client.Metric("score", "maximize"),
        bo_client.Metric.at_most("size", 5.0, "MB"),
    ]
    study = server.client().create_study("several", space, metrics, max_trials=4)
    for loss, score, size in ((2.0, 9.0, 1.0), (3.0, 8.0, 1.0), (1.0, 7.0, 5.0), (0.5, 9.5, 6.0)):
        study.suggest()[0].complete({"loss": loss, "score": score, "size": size})
    return study


def test_show_says_what_training_in_parts_has_saved(bo, server) -> None:
    space = bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 1.0)])
    study = server.client().create_study(
        "parts", space, "loss", goal="minimize", fidelity={"metric": "epoch", "max": 9}
    )
    assert "trained" not in bo("show", "parts").output

    def objective(parameters, trial):
        for epoch in range(int(trial.checkpoint_uri or 0) + 1, 10):
            trial.report(parameters["x"] + 1 / epoch, epoch, checkpoint_uri=str(epoch))
        return parameters["x"]

    study.optimize(objective, n_trials=3, can_resume=True)
    assert "\ntrained   3 of the 27 epochs of 3 whole trials\n" in bo("show", "parts").output


def test_show_several_objectives(bo, several) -> None:
    text = bo("show", "several").output
    assert "goal      minimize loss (nats), maximize score, size at most 5 MB\n" in text
    assert "best      Pareto set of 2: trials 3, 1\n" in text
    assert re.search(r"^trial +state +loss +score +size ≤ 5 +time", text, re.MULTILINE)
    assert re.search(r"^1 \* +SUCCEEDED +2 +9 +1 ", text, re.MULTILINE)
    assert re.search(r"^4 +SUCCEEDED +0\.5 +9\.5 +6 ✗ ", text, re.MULTILINE)
    assert re.search(r"minimize loss \(nats\), maximize score, size at most 5 MB", bo("studies").output)


def test_best_of_several_objectives(bo, several) -> None:
    lines = bo("best", "several").output.splitlines()
    assert [line.split()[0] for line in lines] == ["trial", "3", "1"]
    assert [t["number"] for t in json.loads(bo("best", "several", "--json").output)] == [3, 1]


def test_watch_several_objectives(bo, several) -> None:
    lines = bo("watch", "several").output.splitlines()
    assert "loss 3, score 8, size 1  (2 of 4 ended; 1 in the Pareto set;" in lines[1]
    assert lines[-1] == "several is completed: Pareto set of 2: trials 3, 1"


def test_predict_several_objectives(bo, several) -> None:
    lines = bo("predict", "several", "lr=0.01", "norm=batch").output.splitlines()
    assert [line.split()[0] for line in lines] == ["loss", "score", "size", "acquisition"]


def test_explain_several_objectives(bo, several) -> None:
    text = bo("explain", "several").output
    assert text.index("What matters for loss (nats)") < text.index("What matters for score")


def test_best_within_a_bound(bo, server, space) -> None:
    metrics = [bo_client.Metric("loss", "minimize"), bo_client.Metric.at_least("recall", 0.5)]
    study = server.client().create_study("bounded", space, metrics)
    study.suggest()[0].complete({"loss": 1.0, "recall": 0.25})
    assert "no trial of bounded has a result within the bounds yet" in bo("best", "bounded").stderr
    assert "no trial has a result within the bounds yet" in bo("show", "bounded").output
    study.suggest()[0].complete({"loss": 2.0, "recall": 0.5})
    assert re.search(r"recall +0\.5 +≥ 0\.5", bo("best", "bounded").output)
    assert "loss 2, recall 0.5 in trial 2" in bo("show", "bounded").output


@pytest.mark.parametrize("kind", [None, "front", "convergence", "importance", "slice"])
def test_plot_several_objectives(bo, several, tmp_path: Path, kind) -> None:
    picture = tmp_path / "p.png"
    assert bo("plot", "several", "-o", picture, *(("--kind", kind) if kind else ())).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_best_without_results(bo, study) -> None:
    done = bo("best", "s")
    assert (done.exit_code, "no trial of s has a result yet" in done.stderr) == (1, True)


def test_a_trial_from_the_shell(bo, study) -> None:
    suggested = json.loads(bo("suggest", "s", "--json").output)[0]
    lease = ("--lease", suggested["lease_token"])
    assert bo("report", "s", 1, *lease, "--step", 1, "loss=0.5").output.startswith("go on, leased for")
    assert bo("complete", "s", 1, *lease, "loss=0.25", "accuracy=0.9").output == "trial 1 SUCCEEDED\n"
    assert study.trial(1).final_measurement.metrics == {"loss": 0.25, "accuracy": 0.9}


def test_the_printed_command_completes_the_trial(bo, study) -> None:
    text = bo("suggest", "s").output
    command = next(line for line in text.splitlines() if "bo trial complete" in line)
    assert bo(*command.replace("VALUE", "0.5").split()[1:]).exit_code == 0
    assert study.trial(1).state is State.SUCCEEDED


def test_failing_and_stopping(bo, study) -> None:
    suggested = json.loads(bo("suggest", "s", "--json").output)[0]
    done = bo("fail", "s", 1, "--lease", suggested["lease_token"], "--reason", "diverged", "--message", "nan")
    assert done.output == "trial 1 INFEASIBLE\n"
    suggested = json.loads(bo("suggest", "s", "--json").output)[0]
    assert bo("stop", "s", 2, "--reason", "enough").output == "trial 2 is asked to stop\n"
    told = bo("report", "s", 2, "--lease", suggested["lease_token"], "--step", 1, "loss=1").output
    assert told == "stop: enough\n"


def test_enqueue_reads_values_by_the_space(bo, study) -> None:
    assert bo("enqueue", "s", "lr=1e-3", "norm=group", "groups=2", "--label", "by=me").output == "trial 1 QUEUED\n"
    assert (study.trial(1).parameters, study.trial(1).labels) == (
        {"lr": 1e-3, "norm": "group", "groups": 2},
        {"by": "me"},
    )


def test_pause_resume_finish(bo, study) -> None:
    bo("pause", "s")
    waiting = bo("suggest", "s")
    assert (waiting.exit_code, "bo study resume s" in waiting.stderr) == (1, True)
    assert bo("resume", "s").output == "study s is ACTIVE\n"
    bo("finish", "s")
    assert "completed" in bo("suggest", "s").stderr


def test_delete_asks_first(bo, seen, server) -> None:
    assert bo("delete", "s", input="n\n").exit_code == 1
    assert [i.id for i in server.client().studies()] == ["s"]
    assert bo("delete", "s", "--trial", 1, "--yes").output == "deleted trial 1 of s\n"
    assert bo("delete", "s", "--yes").exit_code == 0
    assert list(server.client().studies()) == []


def test_export_csv(bo, seen, tmp_path: Path) -> None:
    bo("export", "s", "--format", "csv", "-o", tmp_path / "s.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "s.csv").read_text())))
    assert [r["trial"] for r in rows] == ["1", "2", "3", "4", "5"]
    assert [r["loss"] for r in rows] == ["1.25", "0.75", "", "", ""]
    assert (rows[0]["labels"], rows[2]["failure"], rows[4]["groups"]) == ("role=textbook-defaults", "DIVERGED", "2")
    assert float(rows[0]["lr"]) == 0.01


def test_export_json(bo, seen) -> None:
    record = json.loads(bo("export", "s", "--format", "json").output)
    assert record["study"]["id"] == "s"
    assert record["trials"][1]["final_measurement"]["metrics"] == {"loss": 0.75, "accuracy": 0.8}


@pytest.mark.parametrize("kind", ["convergence", "curves"])
def test_plot(bo, seen, tmp_path: Path, kind) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "p.png"
    assert bo("plot", "s", "--kind", kind, "-o", picture).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_plot_of_nothing(bo, study, tmp_path: Path) -> None:
    done = bo("plot", "s", "-o", tmp_path / "p.png")
    assert (done.exit_code, "nothing to draw" in done.stderr) == (1, True)


def test_plot_into_no_folder(bo, seen, tmp_path: Path) -> None:
    done = bo("plot", "s", "-o", tmp_path / "no" / "p.png")
    assert (done.exit_code, "cannot be written" in done.stderr) == (1, True)


def test_predict(bo, seen) -> None:
    told = json.loads(bo("predict", "s", "lr=0.01", "norm=batch", "--json").output)
    assert set(told["predictions"]["loss"]) == {"mean", "std"}
    assert "loss" in bo("predict", "s", "lr=0.01", "norm=batch").output


@pytest.fixture
def known(seen) -> bo_client.Study:
    """The study with a third result."""
    seen.add({"lr": 0.1, "norm": "group", "groups": 2}, {"loss": 0.9})
    return seen


def test_explain(bo, known) -> None:
    text = bo("explain", "s").output
    analysis = known.analyze()
    assert "What matters for loss (nats)" in text
    for name, shares in analysis.importance.items():
        share = f"{shares.total.value:.2f} ± {shares.total.error:.2f}"
        assert re.search(rf"^{name} .* {re.escape(share)}", text, re.MULTILINE), share
    (best,) = (c for c in analysis.best.contenders if c.trial == analysis.best.observed_best)
    assert re.search(rf"^{best.trial} \* +{best.probability:.0%} +{best.observed:g} ", text, re.MULTILINE)
    assert analysis.best.summary in text
    told = json.loads(bo("explain", "s", "--json").output)
    (metric,) = told["metrics"]
    assert (metric["metric"], told["observation_count"]) == ("loss", 3)
    assert [c["trial"] for c in metric["best"]["contenders"]] == [c.trial for c in analysis.best.contenders]
    first, total = metric["importance"][0]["parameters"][0], analysis.metrics[0].importance[0].parameters[0].total
    assert first["total"] == {"value": total.value, "error": total.error}


def test_slice(bo, known) -> None:
    lines = bo("slice", "s", "lr", "--grid", 3).output.splitlines()
    assert lines[0].startswith("others as in trial 2: norm=")
    assert [line.split()[0] for line in lines[1:]] == ["lr", "0.0001", "0.01", "1"]
    told = json.loads(bo("slice", "s", "norm", "groups", "--trial", 1, "--json").output)
    assert [axis["values"] for axis in told["axes"]] == [["batch", "group"], [1, 2, 3, 4]]
    assert (len(told["points"]), told["base"]["lr"]) == (8, 0.01)


@pytest.mark.parametrize("kind", ["importance", "slice"])
def test_plots_of_the_surrogate(bo, known, tmp_path: Path, kind) -> None:
    file = tmp_path / "p.png"
    assert bo("plot", "s", "-o", file, "--kind", kind).output == f"{file}\n"
    assert file.read_bytes().startswith(b"\x89PNG")


def test_watch_without_a_terminal(bo, server, study) -> None:
    for value in (3.0, 2.0, 1.0, 4.0, 5.0):
        study.suggest()[0].complete({"loss": value})
    study.suggest()[0].fail("DIVERGED")
    lines = bo("watch", "s").output.splitlines()
    assert len(lines) == 7
    assert lines[2].startswith("trial 3 succeeded  loss 1 ")
    assert lines[5].startswith("trial 6 infeasible  DIVERGED")
    assert "completed" in lines[-1]
    assert "trial 3" in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("show", "nobody"), "nobody"),
        (("complete", "s", 1, "--lease", "x", "loss=much"), "a metric is a number"),
        (("complete", "s", 99, "--lease", "x", "loss=1"), "99"),
        (("enqueue", "s", "lr=7", "norm=batch"), "lr"),
        (("enqueue", "s", "lr=fast", "norm=batch"), "lr"),
        (("predict", "s", "depth=1"), "depth"),
    ],
)
def test_mistakes_are_told_in_one_line(bo, study, arguments, hint) -> None:
    done = bo(*arguments)
    assert done.exit_code == 1
    assert hint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_server_that_is_not_there() -> None:
    done = CliRunner().invoke(main, ["--server", "127.0.0.1:1", "--patience", "0", "studies"])
    assert done.exit_code == 1
    assert "127.0.0.1:1" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


LEASE = ("--lease", "x")
EVERY: dict[str, tuple[object, ...]] = {
    "study show": (),
    "study workers": (),
    "study pause": (),
    "study resume": (),
    "study finish": (),
    "study update": ("--max-trials", 9),
    "study rename": ("name",),
    "study copy": ("t",),
    "study delete": ("--yes",),
    "study export": ("--format", "csv"),
    "study import": (__file__, "--format", "csv"),
    "trial list": (),
    "trial show": (1,),
    "trial suggest": (),
    "trial report": (1, *LEASE, "--step", 1, "loss=1"),
    "trial complete": (1, *LEASE, "loss=1"),
    "trial fail": (1, *LEASE, "--reason", "CRASHED"),
    "trial pause": (1, *LEASE),
    "trial stop": (1,),
    "trial enqueue": ("lr=0.1",),
    "trial note": (1, "text"),
    "trial delete": (1, "--yes"),
    "artifact add": (1, "gs://a"),
    "artifact list": (1,),
    "artifact get": (1, "a"),
    "best": (),
    "watch": (),
    "plot": ("-o", "p.png"),
    "report": ("-o", "p.html"),
    "predict": ("lr=0.1",),
    "explain": (),
    "diagnose": (),
    "slice": ("lr",),
}
"""Each command about a study, with what follows the study."""
OF_NO_STUDY = {
    "study create",
    "study list",
    "serve",
    "worker best",
    "worker look",
    "worker objectives",
    "worker ray",
    "worker run",
    "dashboard",
    "token create",
    "token list",
    "token revoke",
    "completion",
}


def paths(group: click.Group = main, *before: str) -> Iterator[str]:
    """Each command without those below it, as it is typed."""
    for name in group.list_commands(click.Context(group)):
        command = group.commands[name]
        if isinstance(command, click.Group):
            yield from paths(command, *before, name)
        else:
            yield " ".join((*before, name))


def test_no_command_is_forgotten() -> None:
    assert sorted({*EVERY, *OF_NO_STUDY}) == sorted(paths())


@pytest.mark.parametrize("command", EVERY)
def test_an_unknown_study_is_told_in_one_line(bo, command) -> None:
    done = bo(*command.split(), "nobody", *EVERY[command])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == "Error: there is no study studies/nobody; list the studies with `bo study list`\n"


@pytest.mark.parametrize("command", EVERY)
def test_a_server_that_does_not_answer_is_told_in_one_line(bo, server, study, command) -> None:
    with server.outage():
        done = bo(*command.split(), "s", *EVERY[command])
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: no server answers")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("show",), "STUDY"),
        (("enqueue", "s", "lr"), "not NAME=VALUE"),
        (("enqueue", "s"), "PARAMETER=VALUE"),
        (("suggest", "s", "--count", 0), "1<=x<=100"),
        (("suggest", "s", "--count", "many"), "many"),
        (("complete", "s", 0, "--lease", "x", "loss=1"), "x>=1"),
        (("complete", "s", 1, "loss=1"), "--lease"),
        (("fail", "s", 1, "--lease", "x", "--reason", "bored"), "out_of_memory"),
        (("plot", "s", "-o", "p.png", "--kind", "pie"), "convergence"),
        (("export", "s", "--format", "xml"), "csv"),
        (("report", "s"), "-o FILE"),
        (("report", "s", "1", "--step", "1", "loss=1"), "--lease"),
        (("report", "s", "1", "-o", "p.html"), "give one or the other"),
        (("forget", "s"), "forget"),
    ],
)
def test_a_command_line_that_makes_no_sense_ends_with_2(bo, study, arguments, hint) -> None:
    done = bo(*arguments)
    assert done.exit_code == 2
    assert hint in done.stderr


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("complete", "s", 1, "--lease", "x", "loss=1"), "--lease"),
        (("complete", "s", 1, "--lease", "LEASE", "loss=nan"), "DIVERGED"),
        (("complete", "s", 1, "--lease", "LEASE", "accuracy=1"), "loss"),
        (("delete", "s", "--trial", 1, "--yes"), "is running"),
        (("delete", "s", "--trial", 7, "--yes"), "7"),
        (("predict", "s", "lr=0.1", "norm=batch"), "at least 2"),
        (("explain", "s"), "at least 3"),
        (("slice", "s", "lr"), "at least 2"),
        (("slice", "s", "depth"), "depth"),
        (("plot", "s", "-o", "p.png", "--kind", "slice", "--parameter", "depth"), "depth"),
        (("create", "s", "--space", "nowhere.yaml"), "nowhere.yaml"),
    ],
)
def test_what_the_server_refuses_is_told_in_one_line(bo, study, arguments, hint) -> None:
    (trial,) = study.suggest()
    done = bo(*(trial.lease_token if a == "LEASE" else a for a in arguments))
    assert (done.exit_code, done.stdout) == (1, "")
    assert hint in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_creating_again_finds_the_study_or_says_that_it_differs(bo, tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text(FILE)
    assert bo("create", "new", "--space", file).output == bo("create", "new", "--space", file).output
    other = bo("create", "new", "--space", file, "--max-trials", 3)
    assert (other.exit_code, "exists with another max_trials" in other.stderr) == (1, True)


def test_a_csv_has_a_column_for_each_parameter_and_metric(bo, seen) -> None:
    head, *rows = csv.reader(io.StringIO(bo("export", "s", "--format", "csv").output))
    about, parameters, metrics = ["trial", "state", "origin", "attempt"], ["lr", "norm", "groups"], ["loss", "accuracy"]
    ended = ["failure", "labels", "start_time", "end_time", "seconds", "worker", "stopped_by"]
    assert head == [*about, *parameters, *metrics, *ended]
    assert {len(row) for row in rows} == {len(head)}
    first = dict(zip(head, rows[0], strict=True))
    assert (first["state"], first["origin"], first["norm"], first["groups"]) == ("SUCCEEDED", "USER", "batch", "")
    assert float(first["seconds"]) >= 0


def test_json_is_the_same_from_show_and_export(bo, seen) -> None:
    assert json.loads(bo("show", "s", "--json").output) == json.loads(bo("export", "s", "--format", "json").output)
    record = json.loads(bo("show", "s", "--json").output)
    assert [p["name"] for p in record["study"]["parameters"]] == ["lr", "norm", "groups"]
    assert record["study"]["trial_counts"]["SUCCEEDED"] == 2
    assert record["trials"][2]["failure"] == {"reason": "DIVERGED", "message": "the loss is nan"}
    assert record["trials"][0]["labels"] == {"role": "textbook-defaults"}


def test_json_holds_curves_that_are_not_finite(bo, study) -> None:
    study.suggest()[0].report({"loss": float("nan"), "accuracy": float("-inf")}, 1)
    (trial,) = json.loads(bo("show", "s", "--json").output, parse_constant=lambda name: pytest.fail(name))["trials"]
    assert trial["measurements"][0]["metrics"] == {"loss": "NaN", "accuracy": "-Infinity"}


@pytest.mark.parametrize("option", ["--help", "-h"])
@pytest.mark.parametrize("command", ["", "study", "trial", "artifact", "token", "worker", *paths(), *ALIASES])
def test_help(bo, command, option) -> None:
    done = bo(*command.split(), option)
    assert (done.exit_code, done.output.startswith("Usage: bo")) == (0, True)
    assert max(len(line) for line in done.output.splitlines()) <= 80


def test_the_server_may_come_from_the_environment() -> None:
    done = CliRunner().invoke(main, ["--patience", "0", "studies"], env={"BO_SERVER": "127.0.0.1:2"})
    assert (done.exit_code, "127.0.0.1:2" in done.stderr) == (1, True)


def test_an_address_without_a_port_is_told_in_one_line() -> None:
    done = CliRunner().invoke(main, ["--server", "localhost", "studies"])
    assert done.exit_code == 1
    assert "HOST:PORT" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_trial_is_trained_in_parts_by_hand(server, space, bo) -> None:
    fidelity = {"metric": "epoch", "max": 9}
    server.client().create_study("parts", space, "loss", goal="minimize", fidelity=fidelity, max_trials=2)
    (given,) = json.loads(bo("suggest", "parts", "--can-resume", "--json").stdout)
    assert (given["until_step"], given["checkpoint_uri"]) == (1, "")
    lease = ("--lease", given["lease_token"])
    told = bo("report", "parts", 1, *lease, "--step", 1, "loss=0.5")
    assert told.stdout.startswith("pause: Forecast: at epoch 1 loss was 0.5; goes on once")
    assert bo("pause", "parts", 1).exit_code == 2  # neither the study nor a trial
    assert bo("pause", "parts", 1, *lease, "--checkpoint", "gs://a").stdout == "trial 1 PAUSED\n"
    assert "1 paused" in bo("show", "parts").stdout
    assert "no trial has a result yet; 1 is paused, without a final measurement" in bo("show", "parts").stdout
    assert re.search(r"^1 +PAUSED", bo("show", "parts").stdout, re.MULTILINE)
    shown = json.loads(bo("show", "parts", "--trial", 1, "--json").stdout)
    assert (shown["pause"]["step"], shown["checkpoint_uri"]) == (1, "gs://a")
    (second,) = json.loads(bo("suggest", "parts", "--can-resume", "--json").stdout)
    bo("report", "parts", 2, "--lease", second["lease_token"], "--step", 1, "--checkpoint", "gs://b", "loss=0.6")
    assert bo("pause", "parts", 2, "--lease", second["lease_token"]).stdout == "trial 2 PAUSED\n"
    refused = bo("suggest", "parts")
    assert (refused.exit_code, "only paused trials are left" in refused.stderr) == (1, True)
    assert "waiting   1 trial waits for a worker that can resume" in bo("show", "parts").stdout
    assert json.loads(bo("show", "parts", "--json").stdout)["study"]["resumable_count"] == 1
    again = bo("suggest", "parts", "--can-resume").stdout
    assert "trial 1, leased" in again
    assert "  resume from gs://a\n  run until step 3\n" in again
