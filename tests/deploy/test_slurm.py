"""The Slurm script, run by a shell without Slurm: what it starts, and what it does with a signal."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "slurm" / "workers.sbatch"

WORKER = """#!/bin/bash
printf '%s\\n' "$@" > "$RECORD/arguments"
echo "$BO_SERVER" > "$RECORD/server"
trap 'touch "$RECORD/told"; sleep 0.3; exit "${ENDS_WITH:-143}"' TERM
touch "$RECORD/begun"
[ -n "${WAITS:-}" ] || exit "${ENDS_WITH:-0}"
while :; do sleep 0.05; done
"""
CONTROL = '#!/bin/bash\necho "$@" > "$RECORD/scontrol"\n'


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Starts the script with a `bo-worker` and an `scontrol` that write down how they were called."""
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    for name, text in (("bo-worker", WORKER), ("scontrol", CONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def start(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
        given = {
            "PATH": os.environ["PATH"],
            "RECORD": str(tmp_path),
            "BO_SERVER": "bo.example:50051",
            "BO_CHECKPOINTS": str(tmp_path / "shared" / "vision"),
            "BO_VENV": str(programs.parent),
            "SLURM_JOB_ID": "1207",
            "SLURM_ARRAY_JOB_ID": "1200",
            "SLURM_ARRAY_TASK_ID": "7",
        }
        return subprocess.Popen(
            ["bash", SCRIPT, *arguments], env=given | environment, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )

    return start


def told(process: "subprocess.Popen[str]", record: Path) -> int:
    """Sends the signal that Slurm sends to the script; its exit code."""
    deadline = time.monotonic() + 280
    while not (record / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=280)
    return process.returncode


def test_bash_and_shellcheck_find_nothing_to_say() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    program = shutil.which("shellcheck") or shutil.which("shellcheck", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("needs the extra deploy")
    done = subprocess.run([program, SCRIPT], capture_output=True, text=True)
    assert done.stdout == ""


def test_a_task_is_requeued_and_told_before_its_end() -> None:
    directives = [line.split(maxsplit=1)[1] for line in SCRIPT.read_text().splitlines() if line.startswith("#SBATCH")]
    assert {"--requeue", "--signal=B:TERM@60", "--gpus-per-node=1", "--open-mode=append"} <= set(directives)


def test_it_starts_a_worker_with_its_name_the_shared_folder_and_what_it_was_given(start, tmp_path: Path) -> None:
    from bo_worker.cli import run_command

    process = start("--study", "vision", "--objective", "efficientnet", "--option", "data=/my images")
    process.communicate(timeout=280)
    assert process.returncode == 0
    command, *arguments = (tmp_path / "arguments").read_text().splitlines()
    assert command == "run"
    found = run_command.make_context("run", arguments).params
    assert found["worker_id"] == "slurm-1200_7"
    assert found["directory"] == tmp_path / "shared" / "vision"
    assert found["directory"].is_dir()
    assert found["options"] == {"data": "/my images"}
    assert (tmp_path / "server").read_text() == "bo.example:50051\n"
    assert not (tmp_path / "scontrol").exists()


def test_the_signal_reaches_the_worker_which_is_waited_for_and_the_task_requeued(start, tmp_path: Path) -> None:
    assert told(start("--study", "s", WAITS="1"), tmp_path) == 143
    assert (tmp_path / "told").exists()
    assert (tmp_path / "scontrol").read_text() == "requeue 1207\n"


@pytest.mark.parametrize("environment", [{"BO_REQUEUE": "0"}, {"ENDS_WITH": "0"}, {"SLURM_JOB_ID": ""}])
def test_it_is_not_requeued_where_that_is_not_wanted_or_nothing_is_left_to_do(start, tmp_path, environment) -> None:
    assert told(start("--study", "s", WAITS="1", **environment), tmp_path) == int(environment.get("ENDS_WITH", 143))
    assert (tmp_path / "told").exists()
    assert not (tmp_path / "scontrol").exists()


def test_a_worker_that_fails_fails_the_task_and_is_not_requeued(start, tmp_path: Path) -> None:
    process = start("--study", "s", ENDS_WITH="1")
    process.communicate(timeout=280)
    assert process.returncode == 1
    assert not (tmp_path / "scontrol").exists()


@pytest.mark.parametrize("name", ["BO_SERVER", "BO_CHECKPOINTS", "BO_TOKEN_FILE"])
def test_what_is_missing_is_named_before_anything_starts(start, tmp_path: Path, name: str) -> None:
    process = start("--study", "s", **{name: "/no/such/file" if name == "BO_TOKEN_FILE" else ""})
    _, errors = process.communicate(timeout=280)
    assert process.returncode == 1
    assert name in errors
    assert not (tmp_path / "arguments").exists()
