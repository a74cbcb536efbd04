"""Arguments in which `{name}` stands for a parameter's value; `{{` and `}}` are braces."""

import re
from collections.abc import Collection, Mapping, Sequence

from bo_client import Value

from bo_objectives.errors import SetupError

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def check(arguments: Sequence[str], names: Collection[str]) -> None:
    """Raises SetupError for a brace without its partner, and for a name that is no parameter."""
    for argument in arguments:
        for piece in _PIECE.finditer(argument):
            if piece[0] in ("{", "}"):
                raise SetupError(f"argument {argument!r} has a lone {piece[0]!r}; write {piece[0] * 2!r} for a brace")
            if piece[1] is not None and piece[1] not in names:
                raise SetupError(
                    f"argument {argument!r} asks for {piece[0]}, but the parameters are {', '.join(names)}; "
                    "write {{ and }} for braces that are meant as such"
                )


def filled(arguments: Sequence[str], parameters: Mapping[str, Value]) -> list[str]:
    """The arguments with the values in place; a parameter that this trial doesn't have leaves nothing."""
    texts = {name: text(value) for name, value in parameters.items()}
    return [_PIECE.sub(lambda piece: _filled(piece, texts), argument) for argument in arguments]


def text(value: Value) -> str:
    """As every language reads it: booleans are true and false, and floats keep all their digits."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def has_names(argument: str) -> bool:
    """Whether the argument depends on parameters."""
    return any(piece[1] is not None for piece in _PIECE.finditer(argument))


def _filled(piece: re.Match[str], texts: Mapping[str, str]) -> str:
    return piece[0][0] if piece[1] is None else texts.get(piece[1], "")
