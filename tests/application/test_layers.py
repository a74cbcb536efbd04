"""Mappings that share what they have: as dictionaries that are copied."""

from hypothesis import given
from hypothesis import strategies as st

from bo_service.application import layers
from bo_service.application.layers import Layers

NUMBERS = st.integers(0, 12)
STEPS = st.lists(st.tuples(st.sets(NUMBERS), st.dictionaries(NUMBERS, st.integers())), max_size=12)


@given(st.dictionaries(NUMBERS, st.integers()), STEPS)
def test_after_any_changes_it_is_what_a_dictionary_would_be(base: dict[int, int], steps) -> None:
    found, expected, before = Layers(base), dict(base), []
    for gone, new in steps:
        before.append((found, dict(expected)))
        found = found.changed(gone, new)
        expected = {n: v for n, v in expected.items() if n not in gone} | new
    for made, wanted in [*before, (found, expected)]:
        assert dict(made) == made == wanted
        assert (len(made), sorted(made.values())) == (len(wanted), sorted(wanted.values()))
        assert [made.get(n) for n in range(13)] == [wanted.get(n) for n in range(13)]


def test_many_changes_are_merged(monkeypatch) -> None:
    monkeypatch.setattr(layers, "MOST_RECENT", 4)
    found: Layers[int] = Layers({0: 0})
    for n in range(1, 50):
        found = found.changed([n - 3], {n: n})
    assert dict(found) == {n: n for n in (47, 48, 49)}
