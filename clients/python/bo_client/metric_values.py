"""The metrics of a result, by name."""

from collections.abc import Mapping, Sequence
from typing import Literal

from bo_client.errors import InvalidRequest
from bo_client.parameters import metric_values

GOALS: Mapping[str, Literal["minimize", "maximize"]] = {
    "minimize": "minimize",
    "minimise": "minimize",
    "min": "minimize",
    "maximize": "maximize",
    "maximise": "maximize",
    "max": "maximize",
}
"""The goals by all names that are accepted."""


def metrics_by_name(metrics: float | Mapping[str, float], modelled: Sequence[str]) -> Mapping[str, float]:
    """Return metrics by name as floats.

    Args:
        metrics: metrics by name; or a number alone, which is the only modelled metric.
        modelled: names of the study's objectives and constraints.

    Raises:
        InvalidRequest: a metric is not a number, or its name is missing.
    """
    named = metrics if isinstance(metrics, Mapping) else {_only_name(metrics, modelled): metrics}
    return metric_values(named)


def _only_name(metrics: object, modelled: Sequence[str]) -> str:
    """Return the name of the only modelled metric.

    Raises:
        InvalidRequest: there are several.
    """
    if len(modelled) > 1:
        example = ", ".join(f"{name!r}: …" for name in modelled)
        raise InvalidRequest.of("metrics", f"are {metrics!r}; give each by its name: {{{example}}}")
    return modelled[0]
