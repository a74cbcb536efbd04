"""The command `bo-worker`."""

import json
import logging
import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from bo_client import BoClientError, Study
from bo_client.commands.connection import ConnectionHelp, connected, connection_options
from rich.console import Console

from bo_objectives.discovery import available
from bo_objectives.errors import SetupError
from bo_objectives.fleet.command import fleet_command
from bo_objectives.worker.enrollment import Enrollment
from bo_objectives.worker.evaluation import Recipe

INTERRUPTED = 130
CALL_TIMEOUT_S = 30.0
BEGIN_PATIENCE_S = 10.0
"""For a server that doesn't answer when the worker begins; where none listens, the worker ends at once."""


class Group(click.Group):
    """Says what went wrong in one line, and ends with 1; after Ctrl-C with 130."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except (SetupError, BoClientError) as error:
            raise click.ClickException(" ".join(str(error).split())) from error
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="bo-service", prog_name="bo-worker")
def main() -> None:
    """Evaluate objectives with the configurations that a server suggests.

    Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 130 after Ctrl-C, 143 after SIGTERM.

    \b
    Examples:
      bo-worker objectives
      bo-worker run --study first --objective branin --max-trials 20
      bo-worker run --study mine --objective command --space space.yaml -- python train.py {lr}
    """


def _pairs(_: click.Context, parameter: click.Parameter, given: Iterable[str]) -> dict[str, str]:
    """KEY=VALUE, repeated."""
    found: dict[str, str] = {}
    for pair in given:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{pair!r} must have the form KEY=VALUE", param=parameter)
        found[key] = value
    return found


study_option = click.option("--study", required=True, metavar="ID", help="The study; run creates it if need be.")
objective_option = click.option(
    "--objective", required=True, metavar="NAME", help="One of `bo-worker objectives`, or module:attribute."
)
options_option = click.option(
    "--option", "options", multiple=True, callback=_pairs, metavar="KEY=VALUE", help="Of the objective; repeatable."
)
space_option = click.option(
    "--space",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A YAML, JSON or Python file with the search space, the metrics and settings.",
)
strategy_option = click.option(
    "--strategy", metavar="NAME", help="The same as --option strategy=NAME: one trial on several devices."
)
directory_option = click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where trials keep their files.  [default: bo-worker/STUDY]",
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
    help="Makes a parameter constant; repeatable.",
)
@space_option
@click.option(
    "--max-trials",
    type=click.IntRange(min=1),
    help="Trials in all of a study that is created; of one that exists, trials that this worker runs.",
)
@click.option("--parallel", type=click.IntRange(min=1), default=1, help="Trials at once, each in its own process.")
@click.option(
    "--gpus",
    metavar="LIST",
    default="",
    show_default=False,
    help="GPUs of the slots in turn: 0,1 or auto.  [default: all]",
)
@strategy_option
@directory_option
@click.option("--worker-id", help="Who runs the trials, for people.  [default: host:process]")
@click.option("--trials-per-process", type=click.IntRange(min=1), default=10, help="Then a fresh one is started.")
@click.option(
    "--max-failures", type=click.IntRange(min=1), default=5, help="Broken trials in a row that end the worker."
)
@click.option("--in-process", is_flag=True, help="Evaluate in the worker's own process, as for debugging.")
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
    """Run the trials of a study until there are none left.

    The study is created where it doesn't exist. After --, the PROGRAM that the objective `command` runs. SIGTERM and
    Ctrl-C give running trials back to the server.
    """
    from bo_objectives.worker.gpus import chosen
    from bo_objectives.worker.worker import WorkerSettings, run

    if in_process and gpus:
        raise click.UsageError("--gpus chooses those of child processes; with --in-process set CUDA_VISIBLE_DEVICES")
    if in_process and parallel > 1:
        raise click.UsageError("--in-process runs one trial at a time; leave --parallel out")
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
    with connected(server, CALL_TIMEOUT_S, BEGIN_PATIENCE_S, connection, False) as client:
        asked = Enrollment(study, pins, space, max_trials)
        ctx.exit(run(client, _recipe(objective, _with(options, strategy), space, program), asked, settings, ctx.obj))


main.add_command(fleet_command(run_command))


@main.command("best")
@connection_options
@study_option
@click.option("--objective", metavar="NAME", help="The study's, where it doesn't say it itself.")
@click.option(
    "--option",
    "options",
    multiple=True,
    callback=_pairs,
    metavar="KEY=VALUE",
    help="Of the objective, where the study doesn't keep it, such as data=FOLDER; repeatable.",
)
@space_option
@directory_option
@strategy_option
@click.option(
    "--export",
    "export",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Also write the best one's model with its metrics, confusion matrix and model card.",
)
@click.option(
    "--confirm",
    "confirmed",
    type=click.IntRange(min=2),
    metavar="N",
    help="Choose among the N best: each is trained three times more, with other images for validation and other seeds.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
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
    """Show the best configuration beside the textbook defaults.

    The objective and its options are read from the study; those that contradict it are refused. Where the objective
    holds data back, both are trained once more and measured on it.
    """
    from bo_objectives.worker.best import examine, table

    with connected(server, CALL_TIMEOUT_S, BEGIN_PATIENCE_S, connection, False) as client:
        found = client.study(study)
        recipe = _recipe_of(found, objective, _with(options, strategy), space, program)
        rows = examine(found, recipe, _directory(directory, study), export and export.absolute(), confirmed or 0)
        if as_json:
            click.echo(json.dumps({row.title: row.as_json() for row in rows}, indent=2))
        else:
            Console(file=sys.stdout, highlight=False).print(table(found, rows))
            if export is not None:
                click.echo(f"the best one's model is in {export}")


@main.command("objectives")
def objectives_command() -> None:
    """List the objectives that can be named."""
    for found in available():
        click.echo(f"{found.name:14} {found.description}")


def _with(options: dict[str, str], strategy: str | None) -> dict[str, str]:
    return options if strategy is None else {**options, "strategy": strategy}


def _recipe(name: str, options: dict[str, str], space: Path | None, program: tuple[str, ...]) -> Recipe:
    """The objective `command` needs the file and the program as well."""
    given: dict[str, str | tuple[str, ...]] = dict(options)
    if name == "command":
        if space is not None:
            given["space"] = str(space)
        given["program"] = program
    elif program:
        raise click.UsageError(
            f"unexpected arguments: {' '.join(program)}; only the objective `command` runs a program"
        )
    return Recipe(name, tuple(given.items()))


def _recipe_of(
    study: Study, name: str | None, options: dict[str, str], space: Path | None, program: tuple[str, ...]
) -> Recipe:
    """That of the study, completed by what is given. Raises SetupError."""
    from bo_objectives.worker.compared import check_given, completed, is_examined

    kept = study.definition.objective_spec
    asked = name or (kept.name if kept else "")
    given = dict(_recipe(asked, options, space, program).options)
    if kept is not None and not program:
        given.pop("program", None)
    recipe = completed(study, name, given)
    if not is_examined(recipe):
        check_given(study, given)
    return recipe


def _directory(given: Path | None, study: str) -> Path:
    return (given or Path("bo-worker") / study).absolute()


if __name__ == "__main__":
    main()
