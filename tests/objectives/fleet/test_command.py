"""`bo-worker ray` before it reaches a cluster."""

import sys
from pathlib import Path

import pytest
from bo_worker.cli import main, run_command
from bo_worker.fleet.command import SINGLE_WORKER_OPTIONS
from click.testing import CliRunner, Result

STUDY = ("--study", "s", "--objective", "branin")


def bo_worker_ray(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["ray", *arguments])


def test_it_takes_the_options_of_run_but_those_of_one_worker() -> None:
    offered = {parameter.name for parameter in main.commands["ray"].params}
    of_run = {parameter.name for parameter in run_command.params}
    assert of_run - offered == (SINGLE_WORKER_OPTIONS & of_run) - {"worker_id"}
    assert {"num_workers", "gpus_per_worker", "cpus_per_worker", "address", "max_restarts"} <= offered - of_run


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (STUDY, "--num-workers"),
        (("--num-workers", "0", *STUDY), "--num-workers"),
        (("--num-workers", "2", "--gpus-per-worker", "-1", *STUDY), "--gpus-per-worker"),
        (("--num-workers", "2", "--gpus-per-worker", "1.5", *STUDY), "whole GPUs"),
        (("--num-workers", "2", "--parallel", "2", *STUDY), "--parallel"),
        (("--num-workers", "2", "--option", "noise", *STUDY), "KEY=VALUE"),
        (("--num-workers", "2", "--space", "missing.yaml", *STUDY), "missing.yaml"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], hint: str) -> None:
    done = bo_worker_ray(*arguments)
    assert done.exit_code == 2
    assert hint in done.output


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = bo_worker_ray("--num-workers", "2", *STUDY)
    assert done.exit_code == 1
    assert "bo-service[ray]" in done.output


def test_nothing_of_ray_is_loaded_with_the_command_line() -> None:
    source = Path(sys.modules["bo_worker.fleet.command"].__file__ or "").read_text()
    assert "\nimport ray" not in source
