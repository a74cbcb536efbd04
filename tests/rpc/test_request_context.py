"""The part of a deadline that the surrogate may take: enough is kept for a quick suggestion on a busy machine."""

import pytest

from bo_service import request_context


class Context:
    """A call with so many seconds left; None where it has no deadline."""

    def __init__(self, remaining: float | None) -> None:
        self._remaining = remaining

    def time_remaining(self) -> float | None:
        return self._remaining


@pytest.mark.parametrize(
    ("remaining", "count", "expected"),
    [
        (None, 1, request_context.DEFAULT_TIMEOUT_S),
        (20.0, 0, 17.0),
        (1.0, 0, 0.7),
        (2.0, 100, 1.2),
        (0.2, 0, 0.1),
        (-1.0, 0, 0.0),
    ],
)
def test_what_is_kept_of_a_deadline(remaining: float | None, count: int, expected: float) -> None:
    assert request_context.timeout(Context(remaining), count) == pytest.approx(expected)  # type: ignore[arg-type]
