"""Arguments in which `{name}` is replaced by a parameter's value; `{{` and `}}` are braces.

An argument that names a parameter which the trial lacks is omitted. The values of an option, such as `-m` or
`--momentum`, are the arguments directly after it that name parameters; an option that has values is omitted if all of
them are. What follows them stays: `--momentum {momentum} data.csv` becomes `data.csv`. `{name?}` is replaced by
nothing, and makes its argument depend on the parameter: `{momentum?}MOMENTUM {momentum}`.

`{checkpoint}` and `{until_step}` are where the trial resumes and how far it is trained now, unless a parameter has the
name. A trial that begins has no checkpoint, and one that is trained to its end in one go has no until_step.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import takewhile

from bo_client import SearchSpace, Value

from bo_objectives.errors import SetupError

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}?]*)(\??)\}|[{}]")
CHECKPOINT, UNTIL_STEP = "checkpoint", "until_step"
_OPTION = re.compile(r"(?:\{[^{}?]*\?\})?(?:--?[A-Za-z_]|--$)")
"""The start of an option; a negative number is not an option."""


def check(arguments: Sequence[str], space: SearchSpace) -> None:
    """Check that the arguments can be filled in for every trial of a space.

    Raises:
        SetupError: a brace is unmatched, a name is unknown, the program's own name would be omitted, or an argument
            mixes parameters that not all exist in the same trials.
    """
    for i, argument in enumerate(arguments):
        for piece in _PIECE.finditer(argument):
            if piece[0] in ("{", "}"):
                raise SetupError(f"argument {argument!r} has a lone {piece[0]!r}; write {piece[0] * 2!r} for a brace")
            if piece[1] is not None and piece[1] not in space and piece[1] not in (CHECKPOINT, UNTIL_STEP):
                raise SetupError(
                    f"argument {argument!r} asks for {piece[0]}, but the parameters are {', '.join(space.names)}; "
                    "write {{ and }} for literal braces"
                )
        _check_conditions(argument, space, is_program=i == 0)


def _check_conditions(argument: str, space: SearchSpace, is_program: bool) -> None:
    names = list(dict.fromkeys(_names(argument)))
    by_name = {name: space[name].activation if name in space else name for name in names}
    conditions = set(by_name.values())
    conditional = [name for name in names if by_name[name] is not None]
    if is_program and conditional:
        raise SetupError(f"the program {argument!r} asks for {conditional[0]}, which not every trial has")
    if len(conditions) > 1:
        raise SetupError(
            f"argument {argument!r} asks for {' and '.join(names)}, and {conditional[0]} is not in every trial that "
            "has the others; give each an argument of its own, or let the program read the environment's "
            "BO_PARAMETERS, which holds a trial's parameters as JSON"
        )


def trains_in_parts(arguments: Sequence[str], space: SearchSpace) -> bool:
    """Return whether the arguments say where the trial resumes and how far it is trained."""
    names = {name for argument in arguments for name in _names(argument)}
    return all(name in names and name not in space for name in (CHECKPOINT, UNTIL_STEP))


def fill(
    arguments: Sequence[str], parameters: Mapping[str, Value], checkpoint: str = "", until_step: int | None = None
) -> list[str]:
    """Return the arguments with values filled in, without those that depend on an absent parameter.

    Args:
        arguments: the program and its arguments.
        parameters: values of the active parameters.
        checkpoint: where the trial resumes; empty if it begins.
        until_step: how far it is trained now; None: to its end in one go.
    """
    texts = {CHECKPOINT: checkpoint} if checkpoint else {}
    if until_step is not None:
        texts[UNTIL_STEP] = str(until_step)
    texts.update({name: text(value) for name, value in parameters.items()})
    arguments_filled: list[str] = []
    for group in _groups(arguments):
        present = [argument for argument in group if _is_present(argument, texts)]
        is_option = _OPTION.match(group[0]) and "=" not in group[0] and group[0] != "--"
        values = list(takewhile(has_names, group[1:])) if is_option else []
        if values and _is_present(group[0], texts) and not any(_is_present(value, texts) for value in values):
            present = present[1:]
        arguments_filled += [_PIECE.sub(lambda piece: _fill_piece(piece, texts), argument) for argument in present]
    return arguments_filled


def text(value: Value) -> str:
    """Return a value as text that every language parses: booleans are true and false, and floats keep all digits."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def has_names(argument: str) -> bool:
    """Return whether the argument depends on parameters."""
    return bool(_names(argument))


def _names(argument: str) -> Collection[str]:
    return [piece[1] for piece in _PIECE.finditer(argument) if piece[1] is not None]


def _is_present(argument: str, texts: Mapping[str, str]) -> bool:
    """Return whether the trial has every parameter that the argument names."""
    return all(name in texts for name in _names(argument))


def _groups(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Yield each option with the arguments that follow it, up to the next option; leading arguments are a group too."""
    group: list[str] = []
    for argument in arguments:
        if _OPTION.match(argument) and group:
            yield group
            group = []
        group.append(argument)
    yield group


def _fill_piece(piece: re.Match[str], texts: Mapping[str, str]) -> str:
    if piece[1] is None:
        return piece[0][0]
    return "" if piece[2] else texts.get(piece[1], "")
