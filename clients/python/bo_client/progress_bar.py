"""A progress bar of `Study.optimize` on standard error: tqdm's where it is installed, or plain text."""

import sys
import time
from typing import Any, Protocol, TextIO

from bo_client.models import Failure, StudyInfo
from bo_client.outcomes import FinalMetrics, Outcomes, Paused
from bo_client.ranking import is_better
from bo_client.terminal import guarded, unguarded

DELAY_S = 3.0
"""Seconds before a bar appears that was not asked for, so that a short run shows none."""
REFRESH_S = 0.2
"""Minimum seconds between two updates of a line."""
LINE_INTERVAL_S = 10.0
"""Minimum seconds between two lines where standard error is no terminal."""
ERASE_LINE = "\r\x1b[K"


class ProgressBar(Protocol):
    """Shows the progress of a run."""

    def update(self, outcomes: Outcomes, final: FinalMetrics | Failure | Paused | None) -> None:
        """Show that a trial has ended."""

    def close(self) -> None:
        """Show the end of the run."""


def progress_of(study: StudyInfo, wanted: int | None, is_shown: bool | None) -> ProgressBar:
    """Return the progress bar of a run.

    Args:
        study: the study.
        wanted: number of trials; None if it is not known.
        is_shown: whether to show a bar; None for one that appears after a few seconds if standard error is a terminal.
    """
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    if sys.stderr is None or is_shown is False or (is_shown is None and not is_terminal):
        return HiddenBar()
    delay = 0.0 if is_shown else DELAY_S
    best = _Best(study)
    try:
        from tqdm.auto import tqdm  # type: ignore[import-untyped]
    except ImportError:
        return PlainBar(study.id, best, wanted, sys.stderr, delay)
    return TqdmBar(tqdm(total=wanted, desc=study.id, unit="trial", delay=delay), best)


class _Best:
    """The best value of the run, if the study has one objective."""

    def __init__(self, study: StudyInfo) -> None:
        self._study = study
        self._value: float | None = None

    def update(self, final: FinalMetrics | Failure | Paused | None) -> None:
        if len(self._study.objectives) != 1 or not isinstance(final, FinalMetrics):
            return
        metric, value = self._study.objective, final.metrics[self._study.objective.name]
        if self._study.admits(final.metrics) and (self._value is None or is_better(value, self._value, metric.goal)):
            self._value = value

    def __str__(self) -> str:
        return "" if self._value is None else f"best {self._study.objective.name} {self._value:.5g}"


class HiddenBar:
    """Shows nothing."""

    def update(self, outcomes: Outcomes, final: FinalMetrics | Failure | Paused | None) -> None:
        """Show nothing."""

    def close(self) -> None:
        """Show nothing."""


class PlainBar:
    """One line that is rewritten on a terminal; elsewhere a new line from time to time."""

    def __init__(self, title: str, best: _Best, wanted: int | None, stream: TextIO, delay: float) -> None:
        self._title = title
        self._best = best
        self._wanted = wanted
        self._is_terminal = stream.isatty()
        self._raw = unguarded(stream)
        self._text = guarded(self._raw)
        self._began = time.monotonic()
        self._next = self._began + delay
        self._line = ""
        self._is_written = False

    def update(self, outcomes: Outcomes, final: FinalMetrics | Failure | Paused | None) -> None:
        """Write the line, unless it was written a moment ago."""
        self._best.update(final)
        of = f"/{self._wanted}" if self._wanted is not None else ""
        failed = f"{outcomes.failed} failed" if outcomes.failed else ""
        elapsed = time.strftime("%H:%M:%S", time.gmtime(time.monotonic() - self._began))
        parts = [f"{self._title}: {outcomes.ran}{of} trials", failed, str(self._best), elapsed]
        self._line = ", ".join(part for part in parts if part)
        if time.monotonic() >= self._next:
            self._write()

    def close(self) -> None:
        """Write the last line, if there was any before."""
        if self._line and (self._is_written or time.monotonic() >= self._next):
            self._write()
            if self._is_terminal:
                self._raw.write("\n")

    def _write(self) -> None:
        self._is_written = True
        self._next = time.monotonic() + (REFRESH_S if self._is_terminal else LINE_INTERVAL_S)
        if self._is_terminal:
            self._raw.write(ERASE_LINE)
        self._text.write(self._line if self._is_terminal else f"{self._line}\n")
        self._raw.flush()


class TqdmBar:
    """A bar of tqdm."""

    def __init__(self, bar: Any, best: _Best) -> None:
        self._bar = bar
        self._best = best

    def update(self, outcomes: Outcomes, final: FinalMetrics | Failure | Paused | None) -> None:
        """Move the bar."""
        self._best.update(final)
        failed = f"{outcomes.failed} failed" if outcomes.failed else ""
        self._bar.set_postfix_str(", ".join(part for part in (failed, str(self._best)) if part), refresh=False)
        self._bar.update()

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
