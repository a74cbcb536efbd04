"""Use cases that are done again when the database has broken off their transaction."""

import pytest

from bo_service.application.context import retry_on_conflict
from bo_service.domain.errors import StorageUnavailable, TransactionConflict


class Losing:
    """Loses so many times."""

    def __init__(self, losses: int, error: type[Exception] = TransactionConflict) -> None:
        self.left, self.error, self.done = losses, error, 0

    def act(self, value: int, *, twice: bool = False) -> int:
        self.done += 1
        if self.left:
            self.left -= 1
            raise self.error("lost")
        return 2 * value if twice else value


@pytest.mark.parametrize("losses", [0, 1, 4])
def test_what_is_lost_is_done_again(losses: int) -> None:
    losing = Losing(losses)
    assert retry_on_conflict(losing.act)(3, twice=True) == 6
    assert losing.done == losses + 1


def test_not_for_ever_and_not_after_other_faults() -> None:
    losing = Losing(99)
    with pytest.raises(TransactionConflict):
        retry_on_conflict(losing.act)(3)
    assert losing.done == 5
    losing = Losing(1, StorageUnavailable)
    with pytest.raises(StorageUnavailable):
        retry_on_conflict(losing.act)(3)
    assert losing.done == 1
