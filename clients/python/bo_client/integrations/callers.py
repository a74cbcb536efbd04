"""Access to local variables of callers, for tools whose hooks lack information."""

import sys
from typing import Any


def local_of(package: str, function: str, variable: str) -> Any:
    """Return a local variable of the nearest caller that is a function of a package; None if there is none.

    A release of the package may rename the variable, so callers must work without it.
    """
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if frame.f_code.co_name == function and module.partition(".")[0] == package:
            return frame.f_locals.get(variable)
        frame = frame.f_back  # type: ignore[assignment]
    return None
