"""What the functions that call us hold: for tools that tell a hook less than they know."""

import sys
from typing import Any


def local_of(package: str, function: str, variable: str) -> Any:
    """Returns a local variable of the nearest caller that is this function of this package; None where there is none.

    A tool's own name for it may change in any release, so that callers must do without it, too.
    """
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if frame.f_code.co_name == function and module.partition(".")[0] == package:
            return frame.f_locals.get(variable)
        frame = frame.f_back  # type: ignore[assignment]
    return None
