"""The objective of a study: what its metrics depend on besides the parameters."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bo_service.domain.errors import InvalidArgument, Violation
from bo_service.domain.limits import MAX_OBJECTIVE_NAME, MAX_OPTION_KEY, MAX_OPTION_VALUE, MAX_OPTIONS

MAX_QUOTED = 80
"""Maximum characters of a name or value in an error message."""
MAX_LISTED = 5
"""Maximum number of differences in an error message."""


@dataclass(frozen=True)
class ObjectiveSpec:
    """The name and the options of the objective, as far as the metrics depend on them.

    Raises:
        InvalidArgument: names every invalid field.
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    """Sorted by key."""

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


def differences(expected: ObjectiveSpec | None, actual: ObjectiveSpec | None) -> list[str]:
    """Return how a worker's objective differs from the study's, one phrase for each difference.

    At most MAX_LISTED differences are listed; a last phrase counts the others.

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
    phrases = [
        f"{_cut(key)} is {_quoted(expected.options.get(key))} in the study and {_quoted(actual.options.get(key))} here"
        for key in sorted({*expected.options, *actual.options})
        if expected.options.get(key) != actual.options.get(key)
    ]
    num_omitted = len(phrases) - MAX_LISTED
    return phrases if num_omitted <= 0 else [*phrases[:MAX_LISTED], f"and {num_omitted} more"]


def _quoted(text: str | None) -> str:
    return "not set" if text is None else repr(_cut(text))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"
