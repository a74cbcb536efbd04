"""Interruptions of a task, in this process: whatever the code under way makes of them."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

from bo_service.compute import tasks


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    before, hook = signal.getsignal(signal.SIGUSR1), sys.unraisablehook
    tasks.allow_interrupts()
    yield
    signal.signal(signal.SIGUSR1, before)
    sys.unraisablehook = hook


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


class Compared:
    """Something that is interrupted while C code compares it."""

    def __lt__(self, other: object) -> bool:
        interrupt()
        return True


def replaced() -> None:
    try:
        interrupt()
    except BaseException as error:
        raise TypeError("instead") from error


def swallowed() -> str:
    with suppress(BaseException):
        interrupt()
    return "as if nothing had been"


def in_a_finalizer() -> str:
    class Last:
        def __del__(self) -> None:
            interrupt()

    Last()
    return "as if nothing had been"


def in_numpy() -> object:
    return np.unique(np.array([Compared() for _ in range(9)], dtype=object))


def while_unwinding() -> None:
    try:
        interrupt()
    finally:
        interrupt()


@pytest.mark.parametrize("task", [interrupt, replaced, swallowed, in_a_finalizer, in_numpy, while_unwinding])
def test_whatever_becomes_of_the_exception_it_is_an_interruption(task, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(tasks.Interrupted):
        tasks.interruptible(task)
    assert capsys.readouterr() == ("", "")  # nobody is told of a fault
    assert tasks.interruptible(len, "next") == 4


def test_an_error_that_was_not_interrupted_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        tasks.interruptible(divmod, 1, 0)


def test_between_tasks_nothing_is_interrupted() -> None:
    interrupt()
    assert tasks.interruptible(len, "next") == 4
    interrupt()


def test_the_task_after_one_that_was_interrupted_can_be_interrupted() -> None:
    for _ in range(3):
        with pytest.raises(tasks.Interrupted):
            tasks.interruptible(interrupt)
