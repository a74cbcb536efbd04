"""Commands of `bo` that show the results of a study: `best`, `watch` and `predict`."""

import signal
import sys

import click

from bo_client.cli.arguments import Pairs, json_option, parameters_argument, pass_client, study_argument
from bo_client.cli.records import as_json, trial_record
from bo_client.client import Client
from bo_client.study import Study

WATCH_PATIENCE_S = 60.0
"""Seconds for which a watched server may be unavailable, as during a restart."""


@click.command()
@study_argument
@click.option(
    "--count",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Number of trials, with one objective.",
)
@click.option(
    "--recommend",
    is_flag=True,
    help="Show the configuration to take, by all results, and the probability that it beats the runner-up.",
)
@json_option
@pass_client
def best(client: Client, study_id: str, count: int, recommend: bool, as_json_: bool) -> None:
    """Show the best trials of a study.

    Only trials within the bounds count. With several objectives the whole Pareto set is shown. The exit code is 1 if no
    trial has a result. Where results are noisy the best value is partly luck: --recommend judges by all of them.
    """
    study = client.study(study_id)
    if recommend:
        _show_recommendation(study, as_json_)
        return
    trials = study.best_trials(count)
    if not trials:
        within = " within the bounds" if study.definition.limits else ""
        raise click.ClickException(f"no trial of {study_id} has a result{within} yet")
    if as_json_:
        click.echo(as_json([trial_record(trial, study.definition) for trial in trials]))
        return
    from bo_client.cli import tables

    if len(study.definition.objectives) > 1:
        tables.console().print(tables.trials_table(study.definition, trials, ()))
        return
    for trial in trials:
        tables.console().print(tables.trial_text(study.definition, trial))


def _show_recommendation(study: Study, is_json: bool) -> None:
    made = study.recommend()
    if is_json:
        record = {
            "trial": trial_record(made.trial, study.definition),
            "mean": made.prediction.mean,
            "std": made.prediction.std,
            "probability": made.probability,
            "runner_up": made.runner_up,
            "probability_over_runner_up": made.probability_over_runner_up,
            "summary": made.summary,
        }
        click.echo(as_json(record))
        return
    from bo_client.cli import tables

    tables.console().print(tables.trial_text(study.definition, made.trial))
    click.echo(made.summary)


@click.command()
@study_argument
@click.option(
    "--exit-when-done/--keep-watching",
    default=True,
    show_default=True,
    help="Whether to exit when the study is completed and nothing runs.",
)
@pass_client
def watch(client: Client, study_id: str, exit_when_done: bool) -> None:
    """Follow a study until it is completed.

    On a terminal it shows a live display, elsewhere one line for each ended trial.
    """
    from bo_client.cli import live

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # the terminal's cursor comes back
    study = client.study(study_id)
    try:
        live.watch(study.definition, study.watch(patience=max(client.patience, WATCH_PATIENCE_S)), exit_when_done)
    except KeyboardInterrupt:
        raise SystemExit(128 + signal.SIGINT) from None


@click.command()
@study_argument
@parameters_argument
@json_option
@pass_client
def predict(client: Client, study_id: str, parameters: Pairs, as_json_: bool) -> None:
    """Predict the metrics of a configuration."""
    study = client.study(study_id)
    (prediction,) = study.predict([study.definition.space.parse(dict(parameters))])
    if as_json_:
        predictions = {p.metric: {"mean": p.mean, "std": p.std} for p in prediction.predictions}
        click.echo(as_json({"predictions": predictions, "acquisition_value": prediction.acquisition_value}))
        return
    from bo_client.cli import tables

    tables.console().print(tables.prediction_text(study.definition, prediction))
