"""Completion in shells: what is offered, and that the scripts are sound."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import bo_client
import pytest
from bo_client.cli.main import main
from click.shell_completion import ShellComplete
from click.testing import CliRunner

PROGRAMS = ("bo", "bo-worker", "bo-service")


def offered(client: bo_client.Client | None, *words: str, incomplete: str = "") -> list[str]:
    complete = ShellComplete(main, {"obj": client}, "bo", "_BO_COMPLETE")
    return [item.value for item in complete.get_completions(list(words), incomplete)]


def test_commands_options_and_studies_are_offered(server, study) -> None:
    client = server.client()
    client.create_study("other", study.definition.space, "loss", goal="minimize")
    assert offered(client, incomplete="sug") == ["suggest"]
    assert "--json" in offered(client, "suggest", incomplete="--")
    assert offered(client, "show") == ["other", "s"]
    assert offered(client, "show", incomplete="ot") == ["other"]


def test_nothing_is_offered_and_nothing_said_where_no_server_answers(capfd) -> None:
    assert offered(None, "--server", "127.0.0.1:9", "show") == []
    assert offered(None, "--server", "nowhere", "show") == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_for_all_programs(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    for program in PROGRAMS:
        assert f"_{program.upper().replace('-', '_')}_COMPLETE={shell}_complete" in done.output
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.output, text=True, check=True, timeout=280)


def test_bash_completes_each_program(tmp_path: Path) -> None:
    """As bash does when somebody presses the tabulator."""
    words = {"bo": "sugg", "bo-worker": "objec", "bo-service": "bac"}
    asked = "\n".join(
        f"COMPREPLY=(); COMP_WORDS=({program} {word}); COMP_CWORD=1; "
        f"_{program.replace('-', '_')}_completion {program}; echo ${{COMPREPLY[@]}}"
        for program, word in words.items()
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", f'eval "$(bo completion bash)"\n{asked}'],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["suggest", "objectives", "backup"], done.stderr
