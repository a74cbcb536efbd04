"""Comparison of a worker's objective with the study's."""

from bo_client.models import ObjectiveSpec

MAX_QUOTED = 200
"""Maximum characters of a value in a message."""


def differences(expected: ObjectiveSpec | None, actual: ObjectiveSpec | None) -> list[str]:
    """Return how a worker's objective differs from the study's, one phrase for each difference.

    Args:
        expected: the study's objective.
        actual: the worker's objective.

    Returns:
        The phrases; empty if either is None.
    """
    if expected is None or actual is None:
        return []
    if expected.name != actual.name:
        return [f"the objective is {_quoted(expected.name)} in the study and {_quoted(actual.name)} here"]
    return [
        f"{key} is {_quoted(expected.options.get(key))} in the study and {_quoted(actual.options.get(key))} here"
        for key in sorted({*expected.options, *actual.options})
        if expected.options.get(key) != actual.options.get(key)
    ]


def _quoted(text: str | None) -> str:
    if text is None:
        return "not set"
    return repr(text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…")
