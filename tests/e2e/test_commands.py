"""What people expect of a command: help, version, exit codes, and a page that tells what help tells."""

import os
import signal
import socket
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.commands_page import PROGRAMS, page

MODULES = {"bo": "bo_client.cli.main", "bo-worker": "bo_worker.cli", "bo-service": "bo_service.cli.main"}
PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_page_is_what_help_says() -> None:
    assert PAGE.read_text() == "\n".join(page()).rstrip() + "\n", "run scripts/commands"


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_version_and_wrong_usage(name: str) -> None:
    runner = CliRunner()
    for flag in ("-h", "--help"):
        shown = runner.invoke(PROGRAMS[name], [flag], prog_name=name)
        assert shown.exit_code == 0
        assert shown.output.startswith(f"Usage: {name} ")
        assert "Exit codes" in shown.output
    told = runner.invoke(PROGRAMS[name], ["--version"], prog_name=name)
    assert (told.exit_code, told.output) == (0, f"{name}, version {version('bo-service')}\n")
    for wrong in (["nosuch"], ["--nosuch"]):
        refused = runner.invoke(PROGRAMS[name], wrong, prog_name=name)
        assert refused.exit_code == 2
        assert "nosuch" in refused.output


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("bo", ["studies"]),
        ("bo-worker", ["run", "--study", "s", "--objective", "branin"]),
        ("bo-service", ["health"]),
    ],
)
def test_a_server_that_is_not_there_is_told_in_one_line_with_1(name: str, command: list[str]) -> None:
    where = ["--server", "127.0.0.1:9"]
    patience = ["--patience", "0"] if name == "bo" else []
    words = [*where, *patience, *command] if name == "bo" else [*command, *where]
    done = subprocess.run([sys.executable, "-m", MODULES[name], *words], capture_output=True, text=True, timeout=280)
    assert done.returncode == 1
    assert len((done.stderr or done.stdout).splitlines()) == 1
    assert "127.0.0.1:9" in done.stderr + done.stdout or name == "bo-service"


def test_ctrl_c_ends_with_130_and_says_nothing() -> None:
    """While it waits for a server that takes calls and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = [
            sys.executable,
            "-m",
            "bo_client.cli.main",
            "--server",
            f"127.0.0.1:{silent.getsockname()[1]}",
            "studies",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
        with silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=280)
    assert (process.returncode, out, err) == (130, "", "")


@pytest.mark.slow
def test_bo_alone_serves_works_and_shows(tmp_path: Path) -> None:
    """Each as a process of its own; the server ends gracefully, as `bo-service serve` does."""
    bo = [sys.executable, "-m", "bo_client.cli.main"]
    storage = f"sqlite:///{tmp_path}/bo.db"
    serve = [*bo, "serve", "--storage", storage, "--listen", "127.0.0.1:0", "--processes", "1"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().removeprefix("listening on ").strip()
        work = ["worker", "run", "--study", "b", "--objective", "branin", "--max-trials", "2", "--in-process"]
        for words in (work, ["study", "show", "b"], ["best", "b"]):
            done = subprocess.run(
                [*bo, "--server", address, *words], capture_output=True, text=True, timeout=280, cwd=tmp_path
            )
            assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("trial ")
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=280) == 0
