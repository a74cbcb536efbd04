"""Options for the settings of a study, made from the contract, for `bo study create` and `bo study update`."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import click
from google.protobuf.descriptor import FieldDescriptor

from bo_client.cli.completion import study_ids
from bo_client.settings import StudySettings
from bo_client.wire.codec_settings import SETTING_FIELDS

F = TypeVar("F", bound=Callable[..., Any])

HELP = {
    "max_trials": "Total number of trials.",
    "max_steps": "Total number of epochs, or steps, of all trials.",
    "max_seconds": "Total training seconds of all trials.",
    "acquisition": "Acquisition function, with one objective.",
    "per_cost": "Whether to divide the improvement by the duration of a trial.",
    "stopping": "Rule that stops unpromising trials early.",
    "stopping_min_step": "First step at which the rule may stop a trial.",
    "stopping_min_trials": "Other trials that the rule needs for a comparison.",
    "stopping_reduction_factor": "For successive_halving: one of so many trials continues at each rung.",
    "stopping_max_step": "Last step of a whole trial.",
    "stopping_confidence": "For curve: probability with which a trial must be expected not to become the best.",
    "algorithm": "gaussian_process, quasi_random, random, grid, or the name of one installed beside the server.",
    "grid_points": "For grid: values of each float, and of each integer that has more.",
    "initial_trials": "Trials before the surrogate is used.",
    "confirming_trials": "Trials at the end that repeat the configuration that is best on average.",
    "beta": "Exploration weight of ucb, in standard deviations.",
    "xi": "Margin beyond the best value from which on an improvement counts, in standard deviations.",
    "lease_duration": "Seconds for which a worker owns a trial after each heartbeat.",
    "max_attempts": "Attempts at a trial before failures of machines end it.",
    "seed": "Seed that makes suggestions reproducible.",
    "warm_start_studies": "Earlier study whose observations are reused; repeatable.",
}
"""A help text for each setting that is a field of the contract, in the order of the options.

A field that lacks one ends the command as soon as it is started.
"""
RANGES = {
    "max_trials": click.IntRange(min=1),
    "max_steps": click.IntRange(min=1),
    "max_seconds": click.FloatRange(min=0, min_open=True),
}
"""What is refused before the server is asked; it checks the ranges of all settings."""
WHOLE_NUMBERS = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64)


def setting_options(command: F) -> F:
    """Add an option for each setting; the command passes them to `given_settings`."""
    for setting in sorted(SETTING_FIELDS, key=list(HELP).index, reverse=True):
        command = _option(setting, SETTING_FIELDS[setting])(command)
    return command


def given_settings(**options: object) -> StudySettings:
    """Return the settings that were given."""
    return cast(StudySettings, {name: value for name, value in options.items() if value not in (None, ())})


def _option(setting: str, field: FieldDescriptor) -> Callable[[F], F]:
    """Return the option of a setting, whose type is that of its field."""
    name, text = f"--{setting.replace('_', '-')}", HELP[setting]
    if setting == "warm_start_studies":
        return click.option(
            "--warm-start", setting, multiple=True, metavar="STUDY", shell_complete=study_ids, help=text
        )
    if setting == "algorithm":  # also one that the contract doesn't name
        return click.option(name, metavar="NAME", help=text)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return click.option(f"{name}/--no-{setting.replace('_', '-')}", default=None, help=text)
    kind: Any = click.INT if field.cpp_type in WHOLE_NUMBERS else click.FLOAT
    if field.enum_type is not None:
        prefix = field.enum_type.values_by_number[0].name.removesuffix("UNSPECIFIED")
        kind = click.Choice([one.name.removeprefix(prefix).lower() for one in field.enum_type.values if one.number])
    return click.option(name, type=RANGES.get(setting, kind), help=text)
