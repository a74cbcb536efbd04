"""What a study's values depend on besides the parameters: the workers' objective and its options."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bo_service.core.errors import InvalidArgument, Violation
from bo_service.core.limits import MAX_OBJECTIVE_NAME, MAX_OPTION_KEY, MAX_OPTION_VALUE, MAX_OPTIONS

MOST_QUOTED = 80
"""Characters of a name or value in an error."""
MOST_LISTED = 5
"""Differences in an error, whose length is limited."""


@dataclass(frozen=True)
class ObjectiveSpec:
    """What computes a study's metrics, as far as their values depend on it.

    Raises:
        InvalidArgument: naming every field at fault.
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    """In the order of their keys."""

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise InvalidArgument(faults)

    def _faults(self) -> Iterator[Violation]:
        if not 1 <= len(self.name) <= MAX_OBJECTIVE_NAME or not self.name.isprintable():
            yield Violation(
                "name",
                f"is {_quoted(self.name)}; give 1 to {MAX_OBJECTIVE_NAME} printable characters, as workers name it",
            )
        if len(self.options) > MAX_OPTIONS:
            yield Violation("options", f"has {len(self.options)}; at most {MAX_OPTIONS} are allowed")
        for key, value in self.options.items():
            if not 1 <= len(key) <= MAX_OPTION_KEY or not key.isprintable():
                yield Violation(
                    "options", f"has the key {_quoted(key)}; keys have 1 to {MAX_OPTION_KEY} printable characters"
                )
            at = f'options["{_cut(key)}"]'
            if len(value) > MAX_OPTION_VALUE:
                yield Violation(at, f"has {len(value)} characters; at most {MAX_OPTION_VALUE} are allowed: shorten it")
            elif "\0" in value:
                yield Violation(at, f"holds the character NUL at position {value.index(chr(0))}; leave it out")


def differences(kept: ObjectiveSpec | None, given: ObjectiveSpec | None) -> list[str]:
    """Return how a worker's objective differs from the study's, a phrase for each difference; nothing without either.

    At most MOST_LISTED are listed, and the last phrase counts the others.
    """
    if kept is None or given is None:
        return []
    if kept.name != given.name:
        return [f"the objective is {_quoted(kept.name)} in the study and {_quoted(given.name)} here"]
    found = [
        f"{_cut(key)} is {_quoted(kept.options.get(key))} in the study and {_quoted(given.options.get(key))} here"
        for key in sorted({*kept.options, *given.options})
        if kept.options.get(key) != given.options.get(key)
    ]
    left = len(found) - MOST_LISTED
    return found if left <= 0 else [*found[:MOST_LISTED], f"and {left} more"]


def _quoted(text: str | None) -> str:
    return "not set" if text is None else repr(_cut(text))


def _cut(text: str) -> str:
    return text if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]}…"
