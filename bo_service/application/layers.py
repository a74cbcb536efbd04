"""A mapping that never changes, and shares most of itself with the one that it was made from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, ValuesView
from functools import cached_property
from typing import TypeVar

V = TypeVar("V")

MOST_RECENT = 128
"""Changes beside a base; more of them make a new base, which costs a look at everything."""


class Layers(Mapping[int, V]):
    """Values by number: those of a base, but for some that are newer or gone."""

    def __init__(self, base: Mapping[int, V], recent: Mapping[int, Sequence[V]] | None = None, length: int = 0) -> None:
        """`recent` has the newer values, each in a list, which is empty for what is gone."""
        self._base = base
        self._recent: Mapping[int, Sequence[V]] = {} if recent is None else recent
        self._length = len(base) if recent is None else length

    def __getitem__(self, number: int) -> V:
        found = self._recent.get(number)
        if found is None:
            return self._base[number]
        if not found:
            raise KeyError(number)
        return found[0]

    def __iter__(self) -> Iterator[int]:
        return iter(self._whole)

    def __len__(self) -> int:
        return self._length

    def values(self) -> ValuesView[V]:
        """As of any mapping, found at once."""
        return self._whole.values()

    def changed(self, gone: Iterable[int], new: Mapping[int, V]) -> "Layers[V]":
        """The same without what is gone, and with what is new instead of what was there; itself where neither is."""
        gone = [number for number in gone if number in self]
        if not gone and not new:
            return self
        recent, length = dict(self._recent), self._length
        for number in gone:
            length -= number not in new
            recent[number] = ()
        for number, value in new.items():
            length += number not in self
            recent[number] = (value,)
        found = Layers(self._base, recent, length)
        return found if len(recent) <= MOST_RECENT else Layers(found._whole)

    @cached_property
    def _whole(self) -> dict[int, V]:
        if not self._recent:
            return dict(self._base)
        found = {**self._base, **{number: value[0] for number, value in self._recent.items() if value}}
        for number, value in self._recent.items():
            if not value:
                found.pop(number, None)
        return found
