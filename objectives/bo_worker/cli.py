"""The command `bo-worker`."""

import json
import logging
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from bo_client import BoClientError, Study
from bo_client.cli.completion import objective_names, study_ids
from bo_client.cli.connection import ConnectionHelp, connected, connection_options
from bo_client.cli.console import Console
from bo_client.terminal import guard
from bo_objectives.discovery import available
from bo_objectives.errors import SetupError

from bo_worker.evaluation import EvaluationTask
from bo_worker.fleet.command import fleet_command
from bo_worker.study_request import StudyRequest

INTERRUPTED = 130
CALL_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
"""Seconds to wait for an unresponsive server at the start; if no server listens, the worker ends immediately."""


class WorkerCommandGroup(click.Group):
    """The command group of `bo-worker`.

    It reports errors in one line with exit code 1, exits with 130 after Ctrl-C, and escapes control characters in
    output.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments and install the output guard."""
        if not kwargs.get("resilient_parsing"):  # as a shell that completes has it, which is told bytes
            guard()
        return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, and convert errors to messages."""
        try:
            return super().invoke(ctx)
        except (SetupError, BoClientError) as error:
            raise click.ClickException(" ".join(str(error).split())) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.group(
    cls=WorkerCommandGroup,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "color": True},
)
@click.version_option(package_name="bo-service", prog_name="bo-worker")
def main() -> None:
    """Run the trials of studies on this machine.

    A worker evaluates an objective with the configurations that the server suggests.

    Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 130 after Ctrl-C, 143 after SIGTERM.

    \b
    Examples:
      bo-worker objectives
      bo-worker look --data flowers/ --pictures flowers.png
      bo-worker run --study first --objective branin --max-trials 20
      bo-worker run --study mine --objective command --space space.yaml \\
        -- python train.py {lr}
    """


def _pairs(_: click.Context, parameter: click.Parameter, arguments: Iterable[str]) -> dict[str, str]:
    """Parse repeated KEY=VALUE arguments."""
    values: dict[str, str] = {}
    for pair in arguments:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{pair!r} must have the form KEY=VALUE", param=parameter)
        values[key] = value
    return values


study_option = click.option(
    "--study",
    required=True,
    metavar="ID",
    shell_complete=study_ids,
    help="Study id; run creates a missing study.",
)
objective_option = click.option(
    "--objective",
    required=True,
    metavar="NAME",
    shell_complete=objective_names,
    help="Name listed by `bo-worker objectives`, or module:attribute.",
)
options_option = click.option(
    "--option",
    "options",
    multiple=True,
    callback=_pairs,
    metavar="KEY=VALUE",
    help="Option of the objective; repeatable.",
)
space_option = click.option(
    "--space",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML, JSON or Python file with the search space, metrics and settings.",
)
strategy_option = click.option(
    "--strategy", metavar="NAME", help="Same as --option strategy=NAME: one trial on several devices."
)
directory_option = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the trials' files.  [default: bo-worker/STUDY]",
)
program_argument = click.argument("program", nargs=-1, type=click.UNPROCESSED)


@main.command("run", cls=ConnectionHelp)
@connection_options
@study_option
@objective_option
@options_option
@click.option(
    "--pin",
    "pins",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="Constant value of a parameter; repeatable.",
)
@space_option
@click.option(
    "--max-trials",
    type=click.IntRange(min=1),
    help="For a new study, its total number of trials; for an existing one, the number that this worker runs.",
)
@click.option(
    "--in-parts", is_flag=True, help="Let trials of a new study pause at checkpoints; only the promising ones go on."
)
@click.option(
    "--parallel", type=click.IntRange(min=1), default=1, help="Number of trials at once, each in its own process."
)
@click.option(
    "--gpus",
    metavar="LIST",
    default="",
    show_default=False,
    help="GPUs assigned to the slots in turn, such as 0,1, or auto.  [default: all GPUs for each slot]",
)
@strategy_option
@directory_option
@click.option("--worker-id", help="Name of this worker.  [default: host:process]")
@click.option(
    "--trials-per-process",
    type=click.IntRange(min=1),
    default=10,
    help="Number of trials after which a process is replaced.",
)
@click.option(
    "--max-failures",
    type=click.IntRange(min=1),
    default=5,
    help="Number of consecutive broken trials after which the worker ends.",
)
@click.option("--in-process", is_flag=True, help="Evaluate in the worker's own process, for debugging.")
@program_argument
@click.pass_context
def run_command(
    ctx: click.Context,
    /,
    server: str,
    study: str,
    objective: str,
    options: dict[str, str],
    pins: dict[str, str],
    space: Path | None,
    max_trials: int | None,
    in_parts: bool,
    parallel: int,
    gpus: str,
    strategy: str | None,
    directory: Path | None,
    worker_id: str | None,
    trials_per_process: int,
    max_failures: int,
    in_process: bool,
    program: tuple[str, ...],
    **connection: Any,
) -> None:
    """Run the trials of a study until none are left.

    A missing study is created. After --, give the PROGRAM that the objective `command` runs. SIGTERM and Ctrl-C return
    running trials to the server.
    """
    from bo_worker.gpus import chosen
    from bo_worker.worker import WorkerSettings, run

    if in_process and gpus:
        raise click.UsageError("--gpus applies to child processes; with --in-process set CUDA_VISIBLE_DEVICES")
    if in_process and parallel > 1:
        raise click.UsageError("--in-process runs one trial at a time; omit --parallel")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    settings = WorkerSettings(
        worker_id or f"{socket.gethostname()}:{os.getpid()}",
        _directory(directory, study),
        parallel,
        trials_per_process,
        max_failures,
        in_process,
        chosen(gpus) if gpus else (),
    )
    with connected(server, CALL_TIMEOUT_S, CONNECT_TIMEOUT_S, connection, False) as client:
        study_request = StudyRequest(study, pins, space, max_trials, in_parts)
        ctx.exit(
            run(
                client,
                _evaluation(objective, _with(options, strategy), space, program),
                study_request,
                settings,
                ctx.obj,
            )
        )


main.add_command(fleet_command(run_command))


@main.command("best")
@connection_options
@study_option
@click.option(
    "--objective", metavar="NAME", shell_complete=objective_names, help="Objective, if the study does not store it."
)
@click.option(
    "--option",
    "options",
    multiple=True,
    callback=_pairs,
    metavar="KEY=VALUE",
    help="Option of the objective that the study does not store, such as data=FOLDER; repeatable.",
)
@space_option
@directory_option
@strategy_option
@click.option(
    "--export",
    "export",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder for the best model with its metrics, confusion matrix and model card.",
)
@click.option(
    "--confirm",
    "confirmed",
    type=click.IntRange(min=2),
    metavar="N",
    help="Choose among the N best: train each three more times, with other validation images and other seeds.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@program_argument
def best_command(
    server: str,
    study: str,
    objective: str | None,
    options: dict[str, str],
    space: Path | None,
    directory: Path | None,
    strategy: str | None,
    export: Path | None,
    confirmed: int | None,
    as_json: bool,
    program: tuple[str, ...],
    **connection: Any,
) -> None:
    """Compare the best configuration with the textbook defaults.

    The objective and its options are read from the study; contradicting ones are rejected. If the objective has a test
    set, both configurations are trained again and evaluated on it.
    """
    from bo_worker.best_configuration import evaluate_test, table

    with connected(server, CALL_TIMEOUT_S, CONNECT_TIMEOUT_S, connection, False) as client:
        existing = client.study(study)
        evaluation = _evaluation_of(existing, objective, _with(options, strategy), space, program)
        rows = evaluate_test(
            existing, evaluation, _directory(directory, study), export and export.absolute(), confirmed or 0
        )
        if as_json:
            click.echo(json.dumps({row.title: row.as_json() for row in rows}, indent=2))
        else:
            Console().print(table(existing, rows))
            if export is not None:
                click.echo(f"the best one's model is in {export}")


@main.command("look")
@click.option("--data", metavar="DATA", help="Same as --option data=DATA: what the objective trains on.")
@click.option(
    "--objective",
    metavar="NAME",
    default="efficientnet",
    shell_complete=objective_names,
    help="Objective that reads the data.",
)
@options_option
@click.option(
    "--pictures",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="PNG file to write with examples of each class.",
)
def look_command(data: str | None, objective: str, options: dict[str, str], pictures: Path | None) -> None:
    """Describe data: classes, counts, sizes, splits, copies.

    Use it before a study. Every image is read, and data that cannot be used is refused as `run` refuses it.
    """
    from bo_objectives.base import HasData

    task = _evaluation(objective, options if data is None else {**options, "data": data}, None, ())
    reader = task.make()
    if not isinstance(reader, HasData):
        raise SetupError(f"the objective {objective} can't describe its data; it has no method `look`")
    click.echo(reader.look(pictures))
    if pictures is not None:
        click.echo(f"examples of each class are in {pictures}")


@main.command("objectives")
def objectives_command() -> None:
    """List the available objectives."""
    for objective in available():
        click.echo(f"{objective.name:14} {objective.description}")


def _with(options: dict[str, str], strategy: str | None) -> dict[str, str]:
    return options if strategy is None else {**options, "strategy": strategy}


def _evaluation(name: str, options: dict[str, str], space: Path | None, program: tuple[str, ...]) -> EvaluationTask:
    """Return the evaluation. The objective `command` also needs the file and the program."""
    all_options: dict[str, str | tuple[str, ...]] = dict(options)
    if name == "command":
        if space is not None:
            all_options["space"] = str(space)
        all_options["program"] = program
    elif program:
        raise click.UsageError(
            f"unexpected arguments: {' '.join(program)}; only the objective `command` runs a program"
        )
    return EvaluationTask(name, tuple(all_options.items()))


def _evaluation_of(
    study: Study, name: str | None, options: dict[str, str], space: Path | None, program: tuple[str, ...]
) -> EvaluationTask:
    """Return the study's evaluation, completed by arguments.

    Raises:
        SetupError: the objective is unknown or another one.
    """
    from bo_worker.objective_comparison import check_given, completed, may_have_test_set

    stored = study.definition.objective_spec
    objective_name = name or (stored.name if stored else "")
    values = dict(_evaluation(objective_name, options, space, program).options)
    if stored is not None and not program:
        values.pop("program", None)
    evaluation = completed(study, name, values)
    if not may_have_test_set(evaluation):
        check_given(study, values)
    return evaluation


def _directory(directory: Path | None, study: str) -> Path:
    return (directory or Path("bo-worker") / study).absolute()


if __name__ == "__main__":
    main()
