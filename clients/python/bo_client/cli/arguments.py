"""Arguments and options that several commands of `bo` share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from bo_client.cli.completion import study_ids
from bo_client.client import Client
from bo_client.errors import InvalidRequest

F = TypeVar("F", bound=Callable[..., Any])

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

study_argument = click.argument("study_id", metavar="STUDY", shell_complete=study_ids)
trial_argument = click.argument("number", metavar="TRIAL", type=click.IntRange(min=1))
json_option = click.option("--json", "as_json_", is_flag=True, help="Print JSON.")
lease_option = click.option(
    "--lease", "token", metavar="TOKEN", required=True, help="Lease token, as printed by `bo suggest`."
)
label_option = click.option(
    "--label", "labels", type=ASSIGNMENT, multiple=True, metavar="NAME=VALUE", help="Label; repeatable."
)
metrics_argument = click.argument("metrics", nargs=-1, required=True, type=ASSIGNMENT, metavar="METRIC=VALUE...")
parameters_argument = click.argument(
    "parameters", nargs=-1, required=True, type=ASSIGNMENT, metavar="PARAMETER=VALUE..."
)


def numbers(assignments: tuple[tuple[str, str], ...]) -> dict[str, float]:
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
