"""The command line as one family: sections, earlier names, commands of other programs, and completion."""

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator

import bo_client
import click
import pytest
from bo_client.cli import programs
from bo_client.cli.main import ALIASES, ENTRIES, main
from bo_client.cli.wording import in_one_line
from click.shell_completion import ShellComplete
from click.testing import CliRunner

State = bo_client.TrialState


def first_sentence(command: click.Command) -> str:
    return re.split(r"(?<=\.)\s", " ".join((command.help or "").split("\n\n")[0].split()))[0]


@pytest.mark.parametrize("name", ENTRIES)
def test_the_main_help_has_the_first_sentence_of_each_command(name: str) -> None:
    assert ENTRIES[name].summary == first_sentence(main.commands[name])


def test_the_main_help_has_sections_and_no_earlier_names() -> None:
    text = CliRunner().invoke(main, ["--help"]).output
    sections = {title: text.index(f"\n{title}:\n") for title in ("Studies and trials", "Insight", "Server and workers")}
    assert list(sections.values()) == sorted(sections.values())
    assert not {line.split()[0] for line in text.splitlines() if line.startswith("  ")} & {*ALIASES}


def test_the_main_help_loads_no_command() -> None:
    code = (
        "import sys; from bo_client.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*[m for m in sys.modules if m.startswith('bo_client.cli.') or 'grpc' in m])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=280, check=True)
    loaded = {module.removeprefix("bo_client.cli.") for module in done.stdout.splitlines()[-1].split()}
    assert loaded == {"connection", "family", "main", "wording"}


SAME = [
    (("studies",), ("study", "list")),
    (("studies", "--json"), ("study", "list", "--json")),
    (("show", "s"), ("study", "show", "s")),
    (("show", "s", "--json"), ("study", "show", "s", "--json")),
    (("show", "s", "--trial", 3), ("trial", "show", "s", 3)),
    (("workers", "s"), ("study", "workers", "s")),
    (("export", "s", "--format", "csv"), ("study", "export", "s", "--format", "csv")),
    (("pause", "s"), ("study", "pause", "s")),
    (("resume", "s", "--max-trials", 9), ("study", "resume", "s", "--max-trials", 9)),
    (("finish", "s"), ("study", "finish", "s")),
    (("delete", "s", "--trial", 1, "--yes"), ("trial", "delete", "s", 1, "--yes")),
    (("delete", "s", "--yes"), ("study", "delete", "s", "--yes")),
    (("stop", "s", 5), ("trial", "stop", "s", 5)),
    (("note", "s", 1, "good"), ("trial", "note", "s", 1, "good")),
    (("enqueue", "s", "lr=0.1", "norm=batch"), ("trial", "enqueue", "s", "lr=0.1", "norm=batch")),
    *(
        ((name, "s", 4, "--lease", "x", *rest), ("trial", name, "s", 4, "--lease", "x", *rest))
        for name, *rest in (
            ("complete", "loss=1"),
            ("fail", "--reason", "crashed"),
            ("pause",),
            ("report", "--step", 1, "loss=1"),
        )
    ),
    (("show",), ("study", "show")),
    (("suggest", "s", "--count", 0), ("trial", "suggest", "s", "--count", 0)),
]  # fmt: skip


@pytest.mark.parametrize(("earlier", "now"), SAME, ids=lambda words: " ".join(map(str, words)))
def test_an_earlier_name_does_what_the_current_one_does(request: pytest.FixtureRequest, earlier, now) -> None:
    """On two studies that are the same."""
    outcomes = []
    client = bo_client.testing.InProcessServer().client()
    space = bo_client.SearchSpace(
        [bo_client.FloatParameter("lr", 1e-4, 1.0, scale="log"), bo_client.CategoricalParameter("norm", ["batch"])]
    )
    for arguments in (earlier, now):
        study = client.create_study("s", space, "loss", goal="minimize", max_trials=6, seed=1)
        for loss in (1.0, 0.5):
            study.suggest(worker_id="w")[0].complete({"loss": loss})
        study.suggest(worker_id="w")[0].fail("DIVERGED", "nan")
        study.suggest(worker_id="w")
        study.enqueue({"lr": 0.5, "norm": "batch"})
        done = CliRunner().invoke(main, [str(a) for a in arguments], obj=client)
        states = [info.state for info in client.studies()]
        trials = study.trials() if states else ()
        left = [(trial.number, trial.state, trial.note and trial.note.text) for trial in trials]
        outcomes.append((done.exit_code, steady(done.output), states, left))
        if states:
            study.delete()
    assert outcomes[0] == outcomes[1]


def steady(output: str) -> str:
    """Without times, lease tokens and the words of usage."""
    times = r"\d{4}-\d\d-\d\d[T ][\d:.]+(\+00:00)?|\d:\d\d:\d\d|\"\w+_time\".*"
    output = re.sub(rf"{times}|[·xo]{{20,}}|\d+\.\d+", "…", output)  # the second is a timeline
    return re.sub(r"(?m)^(Usage:|Try ).*$", "", output)


def test_each_earlier_name_is_compared_or_the_same_command() -> None:
    compared = {earlier[0] for earlier, _ in SAME}
    own = {"create", "suggest"}  # their outputs hold what is drawn; the command is the same object but for its epilog
    assert compared | own >= {*ALIASES}
    for name in {*ALIASES} - {"pause"}:
        group, command = ALIASES[name].split()
        current = main.commands[group]
        assert isinstance(current, click.Group)
        assert main.commands[name].callback is current.commands[command].callback
        assert f"`bo {group} {command}` is the current name" in CliRunner().invoke(main, [name, "--help"]).output


def test_earlier_names_complete_where_no_other_does() -> None:
    assert offered(None, incomplete="s") == ["study", "slice", "serve"]
    assert offered(None, incomplete="sug") == ["suggest"]
    assert offered(None) == list(ENTRIES)


def test_a_misspelled_command_is_answered_with_the_nearest_ones(bo) -> None:
    done = bo("stuyd", "list")
    assert done.exit_code == 2
    assert "study" in done.stderr


def test_an_option_of_bo_after_the_command_is_answered_with_its_place() -> None:
    done = CliRunner().invoke(main, ["study", "list", "--server", "127.0.0.1:1"])
    assert done.exit_code == 2
    assert "write bo --server … before the command" in done.stderr


def test_a_server_that_is_not_there_is_answered_with_how_to_start_one() -> None:
    done = CliRunner().invoke(main, ["--server", "127.0.0.1:1", "study", "list"])
    assert done.exit_code == 1
    assert "no server listens at 127.0.0.1:1; start one with `bo serve`" in done.stderr


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("send the token that SuggestTrials returned", "send the token that `bo trial suggest` returned"),
        ("lease_token is not\none", "--lease is not one"),
        ("study.spec.space: is bad", "space: is bad"),
        ('trial.parameters["lr"]: is 9', "lr: is 9"),
        ("give it with server=…, --server or BO_SERVER", "give it with --server or BO_SERVER"),
        (
            "use it as it is with client.study('s'), change settings with its update(), or choose another id",
            "use it as it is, change its settings with `bo study update`, or choose another id",
        ),
        ("see /v1/SuggestTrials and MySuggestTrials", "see /v1/SuggestTrials and MySuggestTrials"),
    ],
)
def test_messages_name_commands_in_place_of_methods(message: str, words: str) -> None:
    assert in_one_line(message) == words


# The commands of other programs.


def test_serve_and_worker_are_those_of_their_programs() -> None:
    serve = CliRunner().invoke(main, ["serve", "--help"])
    assert serve.exit_code == 0
    assert "Usage: bo serve" in serve.output
    assert "default: 127.0.0.1:50051" in " ".join(serve.output.split())
    worker = CliRunner().invoke(main, ["worker", "--help"])
    assert "bo worker run --study first" in worker.output
    assert "bo-worker" not in worker.output
    assert CliRunner().invoke(main, ["worker", "run", "--study", "s"]).exit_code == 2


def test_serve_reads_the_environment_of_its_program_and_fails_as_it_does() -> None:
    done = CliRunner().invoke(main, ["serve"], env={"BO_SERVICE_SERVE_LISTEN": "0.0.0.0:0"})
    assert done.exit_code == 1
    assert "bo-service: " in done.output
    assert "0.0.0.0" in done.output


def test_workers_get_the_connection_that_precedes_them() -> None:
    done = CliRunner().invoke(
        main,
        ["--server", "127.0.0.1:1", "--no-tls", "worker", "run", "--study", "s", "--objective", "branin"],
        env={"BO_SERVER": "127.0.0.1:2"},
    )
    assert done.exit_code == 1
    assert "127.0.0.1:1" in done.stderr


def test_a_program_that_is_not_installed_is_answered_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "entry_points", lambda **_: importlib.metadata.EntryPoints())
    fresh = programs.command_of("serve", "bo-service serve")
    done = CliRunner().invoke(fresh, ["--storage", "memory:"])
    assert done.exit_code == 1
    assert done.stderr == 'Error: the server is not installed here: pip install "bo-service[server]"\n'


# Completion.


def offered(client: bo_client.Client | None, *words: object, incomplete: str = "") -> list[str]:
    complete = ShellComplete(main, {"obj": client}, "bo", "_BO_COMPLETE")
    return [item.value for item in complete.get_completions([str(word) for word in words], incomplete)]


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in (*command.commands, *(ALIASES if command is main else ())):
            yield from commands(command.commands[name], f"{path} {name}".strip())


COMPLETED = (
    "study_id",
    "study",
    "studies",
    "sources",
    "number",
    "objective",
    "parameters",
    "metrics",
    "metric",
    "sort",
)


def test_every_study_trial_and_objective_is_completed() -> None:
    missing = [
        (path, parameter.name)
        for path, command in commands(main, "")
        for parameter in command.params
        if parameter.name in COMPLETED
        and parameter.metavar not in ("NEW", "[TRIAL]", "[METRIC=VALUE]...")
        and not getattr(parameter, "hidden", False)
        and parameter._custom_shell_complete is None
        and not isinstance(parameter.type, click.Choice)
        and path not in ("study create", "serve")
    ]
    assert missing == []


def test_trials_parameters_metrics_and_files_are_offered(server, seen) -> None:
    client = server.client()
    seen.add_artifact(1, "gs://bucket/model.keras", name="model")
    assert offered(client, "trial", "show", "s") == ["1", "2", "3", "4", "5"]
    assert offered(client, "trial", "complete", "s") == ["4"]
    assert offered(client, "stop", "s") == ["4", "5"]
    assert offered(client, "trial", "complete", "s", 4, "--lease", "x", incomplete="l") == ["loss="]
    assert offered(client, "trial", "enqueue", "s", incomplete="n") == ["norm="]
    assert offered(client, "slice", "s") == ["lr", "norm", "groups"]
    assert offered(client, "plot", "s", "--metric") == ["loss", "accuracy"]
    assert offered(client, "trial", "list", "s", "--sort", incomplete="a") == ["accuracy", "attempt"]
    assert offered(client, "artifact", "get", "s", 1) == ["model"]
    assert offered(client, "trial", "show", "nobody") == []


def test_workers_are_offered_studies_and_objectives() -> None:
    assert "branin" in offered(None, "worker", "run", "--objective")
    assert offered(None, "worker", "run", "--server", "127.0.0.1:9", "--study") == []
