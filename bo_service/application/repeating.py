"""Doing a use case again whose transaction the database has broken off."""

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from bo_service.core.errors import TransactionLost

P = ParamSpec("P")
T = TypeVar("T")

TIMES = 5
PAUSE_S = 0.01
"""Before the second time, at most; each further pause may be twice as long."""


def repeated(use_case: Callable[P, T]) -> Callable[P, T]:
    """The use case, done up to five times while it raises TransactionLost: what was broken off has changed nothing."""

    @functools.wraps(use_case)
    def act(*args: P.args, **kwargs: P.kwargs) -> T:
        for time_before in range(TIMES - 1):
            try:
                return use_case(*args, **kwargs)
            except TransactionLost:
                time.sleep(random.uniform(0, PAUSE_S * 2**time_before))  # noqa: S311 - jitter
        return use_case(*args, **kwargs)

    return act
