"""Stored text that would steer a terminal: no command and no log writes it as it is."""

import json
import os
import pty
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import bo_client
import click
import pytest
from bo_client.cli.main import main as bo
from bo_client.terminal import escaped
from bo_worker.cli import main as bo_worker
from click.testing import CliRunner

from bo_service.cli.main import main as bo_service
from tests.attacks.conftest import Target, make_target
from tests.e2e.conftest import Authority, making_servers

pytestmark = pytest.mark.xdist_group("attacks-terminal")  # its server is started once

EVIL = "e\x1b]0;owned\x07\x1b[8m\x9b2J\u202e\r\x7f\u2028[/red][link=x]\n\t\x1b[?1049hvil"
"""A window's title, invisible text, C1, a direction, a return, DEL, a line separator, markup, another screen."""
HARMLESS = ("dashboard", "serve", "ray", "completion", "health", "look", "objectives", "migrate", "restore")
"""Commands that print nothing of what is stored; what they print of their arguments is tried."""
OTHER_PROGRAMS = (("bo", "serve"), ("bo", "worker"))
"""Commands of `bo-service` and `bo-worker`, which are tried as such."""
PROGRAMS = {"bo": bo, "bo-service": bo_service, "bo-worker": bo_worker}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server with a study in which everything that takes text holds the evil one."""
    folder = tmp_path_factory.mktemp("terminal")
    with making_servers(folder) as make:
        found = make_target(make, folder / "bo.db")
        with found.client("admin") as client:
            fill(client)
        yield found


def fill(client: bo_client.Client) -> None:
    space = bo_client.SearchSpace(
        [
            bo_client.FloatParameter("x", 0.0, 1.0, description=EVIL, unit=EVIL[:32]),
            bo_client.CategoricalParameter("kind", [EVIL, "plain"], default=EVIL),
        ],
        [bo_client.ForbiddenCombination({"kind": "plain", "x": 0.125}, description=EVIL)],
    )
    metrics = [bo_client.Metric("loss", "minimize", unit=EVIL[:32])]
    study = client.create_study(
        "evil", space, metrics, display_name=EVIL, labels={EVIL: EVIL, "steps": EVIL, "step": EVIL}, seed=1
    )
    for i in range(4):
        study.add({"x": i / 4, "kind": EVIL}, {"loss": float(i)}, labels={EVIL: EVIL})
    for trial in study.suggest(4, worker_id="w"):  # most of the recent ones fail, which is told as well
        trial.fail("DIVERGED", EVIL)


def leaves(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            if (*path, name) not in OTHER_PROGRAMS:
                yield from leaves(inner, (*path, name))
    else:
        yield path


ALL = [path for name, program in PROGRAMS.items() for path in leaves(program, (name,))]


def harmless(text: str) -> bool:
    return not any(c in text for c in EVIL if not c.isprintable() and c not in "\n\t") and escaped(text) == text


def called(target: Target | None, *arguments: str) -> str:
    """What a program writes to both of its outputs."""
    program, *rest = arguments
    address = {"BO_SERVER": target.address, "BO_TOKEN": target.tokens["admin"]} if target else {"BO_SERVER": "[::1]:1"}
    done = CliRunner().invoke(PROGRAMS[program], rest, env={**address, "BO_PATIENCE": "0"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    return done.output


def outputs_of(target: Target, folder: Path) -> dict[tuple[str, ...], list[list[str]]]:
    """For each command that prints what is stored, the ways to call it."""
    database, file = f"sqlite:///{folder}/copy.db", str(folder / "evil.jsonl")
    x = ["x=0.5", f"kind={EVIL}"]
    return {
        ("bo", "study", "create"): [["evil", "--space", str(folder / "space.yaml"), "--label", f"{EVIL}={EVIL}"]],
        ("bo", "study", "list"): [[], ["--json"]],
        ("bo", "study", "show"): [["evil"], ["evil", "--json"], ["evil", "--trial", "5"], ["evil", "--sort", EVIL]],
        ("bo", "trial", "list"): [["evil"], ["evil", "--json"], ["evil", "--where", f"kind={EVIL}"]],
        ("bo", "trial", "show"): [["evil", "5"], ["evil", "5", "--json"]],
        ("bo", "study", "update"): [["evil", "--max-trials", "99"]],
        ("bo", "study", "copy"): [["evil", "copied"], ["evil", EVIL]],
        ("bo", "study", "rename"): [["evil", EVIL]],
        ("bo", "study", "import"): [["evil", str(folder / "spoiled.json")], ["evil", str(folder / "space.yaml")]],
        ("bo", "report"): [["evil"], ["evil", EVIL], ["evil", "-o", str(folder / "no" / f"{EVIL}.html")]],
        ("bo", "best"): [["evil"], ["evil", "--json"], ["evil", "--count", "3"]],
        ("bo", "study", "export"): [["evil", "--format", "json"], ["evil", "--format", "csv"]],
        ("bo", "predict"): [["evil", *x], ["evil", "--json", *x]],
        ("bo", "explain"): [["evil"], ["evil", "--json"]],
        ("bo", "slice"): [["evil", "kind"], ["evil", "kind", "--json"], ["evil", "x", "--trial", "1"]],
        ("bo", "diagnose"): [["evil"], ["evil", "--json"]],
        ("bo", "study", "workers"): [["evil"], ["evil", "--json"]],
        ("bo", "plot"): [["evil", "-o", str(folder / f"{EVIL.replace('/', '')}.png")]],
        ("bo", "study", "finish"): [["evil"]],
        ("bo", "watch"): [["evil"]],
        ("bo", "study", "resume"): [["evil"]],
        ("bo", "study", "pause"): [["evil"]],
        ("bo", "trial", "enqueue"): [["evil", "--label", f"{EVIL}={EVIL}", *x], ["evil", f"kind={EVIL}no", "x=9"]],
        ("bo", "trial", "suggest"): [["evil"], ["evil", "--json", "--worker-id", EVIL], ["evil", "--worker-id", "w"]],
        ("bo", "trial", "pause"): [["evil", "9", "--lease", EVIL]],
        ("bo", "trial", "stop"): [["evil", "9", "--reason", EVIL]],
        ("bo", "trial", "report"): [
            ["evil", "9", "--lease", EVIL, f"loss={EVIL}"],
            ["evil", "9", "--lease", EVIL, "loss=1"],
        ],
        ("bo", "trial", "complete"): [["evil", "9", "--lease", EVIL, "loss=1"]],
        ("bo", "trial", "fail"): [["evil", "9", "--lease", EVIL, "--message", EVIL]],
        ("bo", "trial", "note"): [["evil", "1", EVIL], ["evil", EVIL, EVIL]],
        ("bo", "artifact", "add"): [
            ["evil", "1", f"gs://bucket/{EVIL}", "--name", EVIL],
            ["evil", "1", str(folder / "space.yaml"), "--name", "space.yaml", "--media-type", EVIL],
            ["evil", "1", str(folder / "space.yaml")],
        ],
        ("bo", "artifact", "list"): [["evil", "1"], ["evil", "1", "--json"]],
        ("bo", "artifact", "get"): [["evil", "1", "space.yaml", "-o", str(folder / "got")], ["evil", "1", EVIL]],
        ("bo", "token", "create"): [["--role", "reader", "--description", EVIL]],
        ("bo", "token", "list"): [[], ["--json"]],
        ("bo", "token", "revoke"): [[EVIL]],
        ("bo-service", "backup"): [["--storage", target.process.url, str(folder / "copy.db")]],
        ("bo-service", "token", "create"): [["--storage", database, "--role", "reader", "--description", EVIL]],
        ("bo-service", "token", "list"): [["--storage", database]],
        ("bo-service", "token", "revoke"): [["--storage", database, EVIL]],
        ("bo-service", "export-study"): [["--storage", database, "evil", file]],
        ("bo-service", "import-study"): [
            ["--storage", database, file],
            ["--storage", database, file, "--as", EVIL],
            ["--storage", database, str(folder / "spoiled.jsonl")],
        ],
        ("bo-worker", "run"): [["--study", "evil", "--objective", "branin"], ["--study", "evil", "--objective", EVIL]],
        ("bo-worker", "best"): [["--study", "evil", "--objective", "branin"]],
        ("bo", "trial", "delete"): [["evil", "1", "--yes"]],
        ("bo", "study", "delete"): [["evil", "--trial", "2", "--yes"], [EVIL, "--yes"]],
    }


@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")  # a font lacks the control characters of a picture's title
def test_no_command_writes_what_steers_a_terminal(target, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(json.dumps({"parameters": {EVIL: {"type": EVIL}}, "metrics": {EVIL: EVIL}}))
    (tmp_path / "spoiled.json").write_text(json.dumps({"study": {"parameters": [{"type": EVIL}]}}))
    (tmp_path / "spoiled.jsonl").write_text(json.dumps({"format": "bo-service study", "version": 2, "study": EVIL}))
    calls = outputs_of(target, tmp_path)
    assert {path for path in ALL if path[-1] not in HARMLESS} == set(calls)
    silent = []
    for path, ways in calls.items():
        for arguments in ways:
            told = called(target, *path, *arguments)
            assert harmless(told), (path, arguments, told)
            silent += [] if told else [(path, arguments)]
    assert silent == []


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_no_command_writes_its_arguments_as_they_are(path: tuple[str, ...]) -> None:
    for arguments in ([EVIL], [EVIL] * 12, [f"--{EVIL}"], ["--storage", EVIL, EVIL], ["\udc9b", "--server", EVIL]):
        told = called(None, *path, *arguments)
        assert harmless(told), told


def test_json_is_exact(target) -> None:
    told = json.loads(called(target, "bo", "show", "evil", "--json"))
    assert told["study"]["display_name"] == EVIL if "study" in told else told["display_name"] == EVIL
    exported = json.loads(called(target, "bo", "export", "evil", "--format", "json"))
    assert exported["study"]["labels"][EVIL] == EVIL
    assert exported["trials"][4]["failure"]["message"] == EVIL
    assert exported["trials"][0]["parameters"]["kind"] == EVIL


def test_files_hold_what_is_stored(target, tmp_path: Path) -> None:
    file = tmp_path / "evil.csv"
    called(target, "bo", "export", "evil", "--format", "csv", "-o", str(file))
    assert EVIL in file.read_bytes().decode()


def on_terminal(target: Target, *command: str) -> str:
    """What a program writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "BO_SERVER": target.address, "BO_TOKEN": target.tokens["admin"], "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", *command], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    told = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        told += more
    os.close(ours)
    process.wait(timeout=60)
    return told.decode()


@pytest.mark.parametrize(
    "command", [["show", "evil"], ["show", "evil", "--trial", "5"], ["watch", "evil"], ["studies"]]
)
def test_colors_and_live_pictures_pass_and_nothing_else(target, command: list[str]) -> None:
    if command[0] == "watch":
        with target.client("admin") as client:
            client.study("evil").update(state="COMPLETED")
    told = on_terminal(target, "bo_client.cli.main", *command)
    assert "\x1b[" in told  # rich's own
    assert "owned" in told or command == ["studies"]
    for stolen in ("\x1b]", "\x1b[8m", "\x1b[?1049h", "\x07", "\x9b", "\u202e", "\x7f", "\u2028"):
        assert stolen not in told


def test_a_worker_logs_nothing_that_steers(target, tmp_path: Path) -> None:
    space = {"x": {"type": "float", "low": 0, "high": 1}, "kind": {"type": "categorical", "values": [EVIL]}}
    (tmp_path / "space.yaml").write_text(json.dumps({"parameters": space, "metrics": {"loss": "minimize"}}))
    program = "import sys; sys.exit(sys.argv[1])"  # fails, with the evil text on its standard error
    run = ["run", "--study", "worked", "--objective", "command", "--space", str(tmp_path / "space.yaml")]
    run += ["--max-trials", "1", "--max-failures", "1", "--directory", str(tmp_path / "work")]
    told = on_terminal(target, "bo_worker.cli", *run, "--", sys.executable, "-c", program, "{kind}")
    assert "owned" in told
    assert harmless(told.replace("\r\n", "\n")), told


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_servers_log_steers_nothing(tmp_path: Path, form: str) -> None:
    authority = Authority(tmp_path)
    certificate, key = authority.sign("server")
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key), "--tls-client-ca", str(authority.file)]
    name = "e\x1b[8m\x9b2J\u202evil"
    own, secret = authority.sign("evil", "evil.example", common_name=name)
    with making_servers(tmp_path) as make:
        process = make("--processes", "1", "--log-level", "debug", "--log-format", form, *tls)
        process.start()
        with bo_client.connect(process.address, ca=authority.file, certificate=own, key=secret) as client:
            client.create_study(
                "s", bo_client.SearchSpace([bo_client.FloatParameter("x", 0, 1)]), "loss", goal="minimize"
            )
            for evil in (name, "\u202e", "\x9b"):
                with pytest.raises(bo_client.BoClientError):
                    client.study(evil).info()
        process.stop()
        found = process.log
        assert not [line for line in found.split("\n") if not line.isprintable()]
        assert harmless(found)
        if form == "json":
            lines = [json.loads(line) for line in process.log.splitlines()]
            assert name in {line.get("certificate") for line in lines}


def test_escaped_leaves_no_character_that_steers() -> None:
    """Whatever Unicode calls a control, a surrogate, an end of a line or a direction."""
    everything = [chr(i) for i in range(sys.maxunicode + 1)]
    directions = ("LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI")
    modelled_metrics = {
        c
        for c in everything
        if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(c) in directions
    } - {"\n", "\t"}
    assert all(escaped(c) != c for c in modelled_metrics)
    assert all(json.loads(f'"{escaped(c)}"') == c for c in modelled_metrics)
    assert all(escaped(c) == c for c in everything if c.isprintable() or c in "\n\t\u200d\u200c")


def test_server_and_client_guard_alike() -> None:
    ours, theirs = ROOT / "bo_service/cli/terminal.py", ROOT / "clients/python/bo_client/terminal.py"
    assert ours.read_text() == theirs.read_text()
