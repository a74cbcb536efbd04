"""Arguments and options that several commands of `bo` share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from bo_client.cli.completion import assigned, metric_names, parameter_names, study_ids, trial_numbers
from bo_client.client import Client
from bo_client.errors import InvalidRequest
from bo_client.models import TrialState

F = TypeVar("F", bound=Callable[..., Any])
Pairs = tuple[tuple[str, str], ...]

pass_client = click.make_pass_decorator(Client)


class Assignment(click.ParamType[tuple[str, str]]):
    """A parameter type for NAME=VALUE."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Split the argument at the first equals sign."""
        if isinstance(value, tuple):
            return value
        name, sign, text = str(value).partition("=")
        if not sign or not name:
            self.fail(f"{value!r} is not NAME=VALUE, such as lr=1e-3", param, ctx)
        return name, text


ASSIGNMENT = Assignment()


def number_argument(*states: TrialState) -> Callable[[F], F]:
    """Return the argument TRIAL, which completes the numbers of trials in some states; of all without states."""
    return click.argument("number", metavar="TRIAL", type=click.IntRange(min=1), shell_complete=trial_numbers(*states))


study_argument = click.argument("study_id", metavar="STUDY", shell_complete=study_ids)
trial_argument = number_argument()
running_argument = number_argument(TrialState.RUNNING)
json_option = click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
lease_option = click.option(
    "--lease", "token", metavar="TOKEN", required=True, help="Lease token, as printed by `bo trial suggest`."
)
label_option = click.option(
    "--label", "labels", type=ASSIGNMENT, multiple=True, metavar="NAME=VALUE", help="Label; repeatable."
)
metrics_argument = click.argument(
    "metrics",
    nargs=-1,
    required=True,
    type=ASSIGNMENT,
    metavar="METRIC=VALUE...",
    shell_complete=assigned(metric_names),
)
parameters_argument = click.argument(
    "parameters",
    nargs=-1,
    required=True,
    type=ASSIGNMENT,
    metavar="PARAMETER=VALUE...",
    shell_complete=assigned(parameter_names),
)


def numbers(assignments: Pairs) -> dict[str, float]:
    """Return metrics by name.

    Raises:
        InvalidRequest: a value is not a number.
    """
    metrics = {}
    for name, text in assignments:
        try:
            metrics[name] = float(text)
        except ValueError:
            raise InvalidRequest.of(name, f"is {text!r}; a metric is a number") from None
    return metrics
