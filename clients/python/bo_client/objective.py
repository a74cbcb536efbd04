"""Compares what a worker evaluates with what a study's values depend on."""

from bo_client.values import ObjectiveSpec

MOST_QUOTED = 200
"""Characters of a value in a phrase."""


def differences(kept: ObjectiveSpec | None, given: ObjectiveSpec | None) -> list[str]:
    """Return how a worker's objective differs from the study's, a phrase for each difference; none without either."""
    if kept is None or given is None:
        return []
    if kept.name != given.name:
        return [f"the objective is {_quoted(kept.name)} in the study and {_quoted(given.name)} here"]
    return [
        f"{key} is {_quoted(kept.options.get(key))} in the study and {_quoted(given.options.get(key))} here"
        for key in sorted({*kept.options, *given.options})
        if kept.options.get(key) != given.options.get(key)
    ]


def _quoted(text: str | None) -> str:
    if text is None:
        return "not set"
    return repr(text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]}…")
