"""What a peer is: it is asked for configs, and told what came of them. All losses: smaller is better."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

Config = dict[str, Any]
Space = Sequence[Mapping[str, Any]]
"""Parameters as JSON has them: name, kind, and low, high and log, or values."""


def name_of(config: Config) -> str:
    """A key for a config: what is told may be of an earlier one than the last that was asked for."""
    return repr(sorted((name, plain(value)) for name, value in config.items()))


def plain(value: Any) -> Any:
    """Return a number of numpy's as Python's own."""
    return value.item() if hasattr(value, "item") else value


class Peer(Protocol):
    """An optimizer of one study, made as `make(space, seed, budget)`."""

    def ask(self) -> Config:
        """Return the next config to try."""

    def tell(self, config: Config, value: float | None) -> None:
        """Tell the result of the config asked for last; None where the trial failed."""


@runtime_checkable
class Recommender(Protocol):
    """An optimizer that says which configuration to take: it need not be the one with the best measured value."""

    def recommend(self) -> Config:
        """Return one of the configurations that it was told of."""


@runtime_checkable
class Withdrawing(Protocol):
    """An optimizer that reckons with the configurations that it asked for, until it is told of them."""

    def withdraw(self, config: Config) -> None:
        """Forget a config that it asked for: another one is run in its place, and will be told."""


class WorstForFailures:
    """A peer that knows no failures is told the worst value so far instead; until there is one, nothing."""

    def __init__(self, inner: Peer) -> None:
        self._inner = inner
        self._worst: float | None = None
        self._waiting: list[Config] = []

    def ask(self) -> Config:
        """Return what the peer asks for."""
        return self._inner.ask()

    def withdraw(self, config: Config) -> None:
        """Pass it on to a peer that reckons with what it asked for."""
        if isinstance(self._inner, Withdrawing):
            self._inner.withdraw(config)

    def tell(self, config: Config, value: float | None) -> None:
        """Pass a value on, and after the first one the failures before it."""
        if value is None and self._worst is None:
            self._waiting.append(config)
            return
        if value is not None:
            self._worst = value if self._worst is None else max(value, self._worst)
        self._inner.tell(config, self._worst if value is None else value)
        waiting, self._waiting = self._waiting, []
        for failed in waiting:
            self._inner.tell(failed, self._worst)
