"""Arguments in which `{name}` is replaced by a parameter's value; `{{` and `}}` are braces.

An argument that names a parameter which the trial doesn't have is left out. So is an option, such as `-m` or
`--momentum`, where all of the arguments are left out that follow it, up to the next option. `{name?}` is replaced by
nothing, and makes its argument depend on the parameter: `{momentum?}MOMENTUM {momentum}`.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from bo_client import SearchSpace, Value

from bo_objectives.errors import SetupError

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}?]*)(\??)\}|[{}]")
_OPTION = re.compile(r"(?:\{[^{}?]*\?\})?(?:--?[A-Za-z_]|--$)")
"""How an option begins; a negative number is none."""


def check(arguments: Sequence[str], space: SearchSpace) -> None:
    """Raises SetupError for what can't be filled in for every trial of the space.

    That is a brace without its partner, a name that is no parameter, a program whose own name would be left out, and an
    argument that names both parameters that a trial has and such that it may not have.
    """
    for i, argument in enumerate(arguments):
        for piece in _PIECE.finditer(argument):
            if piece[0] in ("{", "}"):
                raise SetupError(f"argument {argument!r} has a lone {piece[0]!r}; write {piece[0] * 2!r} for a brace")
            if piece[1] is not None and piece[1] not in space:
                raise SetupError(
                    f"argument {argument!r} asks for {piece[0]}, but the parameters are {', '.join(space.names)}; "
                    "write {{ and }} for braces that are meant as such"
                )
        _check_conditions(argument, space, is_program=i == 0)


def _check_conditions(argument: str, space: SearchSpace, is_program: bool) -> None:
    names = list(dict.fromkeys(_names(argument)))
    conditions = {space[name].activation for name in names}
    conditional = [name for name in names if space[name].activation is not None]
    if is_program and conditional:
        raise SetupError(f"the program {argument!r} asks for {conditional[0]}, which not every trial has")
    if len(conditions) > 1:
        raise SetupError(
            f"argument {argument!r} asks for {' and '.join(names)}, and {conditional[0]} is not in every trial that "
            "has the others; give each an argument of its own, or let the program read the environment's "
            "BO_PARAMETERS, which holds a trial's parameters as JSON"
        )


def filled(arguments: Sequence[str], parameters: Mapping[str, Value]) -> list[str]:
    """The arguments with the values in place, without those that depend on a parameter that is absent."""
    texts = {name: text(value) for name, value in parameters.items()}
    found: list[str] = []
    for group in _groups(arguments):
        kept = [argument for argument in group if all(name in texts for name in _names(argument))]
        is_option = _OPTION.match(group[0]) and "=" not in group[0] and group[0] != "--"
        is_bare = len(kept) == 1 < len(group) and kept[0] is group[0] and is_option
        found += [] if is_bare else [_PIECE.sub(lambda piece: _filled(piece, texts), argument) for argument in kept]
    return found


def text(value: Value) -> str:
    """As every language reads it: booleans are true and false, and floats keep all their digits."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def has_names(argument: str) -> bool:
    """Whether the argument depends on parameters."""
    return bool(_names(argument))


def _names(argument: str) -> Collection[str]:
    return [piece[1] for piece in _PIECE.finditer(argument) if piece[1] is not None]


def _groups(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Each option with the arguments that follow it, up to the next option; what comes first is a group too."""
    group: list[str] = []
    for argument in arguments:
        if _OPTION.match(argument) and group:
            yield group
            group = []
        group.append(argument)
    yield group


def _filled(piece: re.Match[str], texts: Mapping[str, str]) -> str:
    if piece[1] is None:
        return piece[0][0]
    return "" if piece[2] else texts.get(piece[1], "")
