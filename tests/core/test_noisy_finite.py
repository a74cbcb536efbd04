"""A small finite space goes on where its values are noisy, and is exhausted where they are not."""

from dataclasses import replace

import numpy as np
import pytest

from bo_service.core.domains import CategoricalDomain, DiscreteDomain
from bo_service.core.evidence import Evidence, PastTrial
from bo_service.core.space import Parameter, SearchSpace
from bo_service.core.study import SuggestionSettings
from bo_service.core.suggest import suggest

SPACE = SearchSpace((Parameter("a", CategoricalDomain(("x", "y", "z"))), Parameter("b", DiscreteDomain((1, 2)))))


def value(c: dict[str, object], rng: np.random.Generator, noise: float) -> float:
    return float("xyz".index(str(c["a"])) + 0.3 * float(str(c["b"])) + noise * rng.normal())


def run(count: int, noise: float, seed: int) -> Evidence:
    """A study that begins with two trials of one configuration."""
    rng, twice = np.random.default_rng(seed), {"a": "y", "b": 1}
    past = tuple(PastTrial(i, twice, value(twice, rng, noise)) for i in (1, 2))
    evidence = Evidence(SPACE, SuggestionSettings(), seed, past)
    for number in range(3, count + 1):
        made = suggest(evidence, 1)
        if not made:
            break
        c = dict(made[0].configuration)
        evidence = replace(evidence, past=(*evidence.past, PastTrial(number, c, value(c, rng, noise))))
    return evidence


@pytest.mark.parametrize("seed", [0, 1])
def test_with_noise_it_goes_on_and_without_it_is_exhausted(seed: int) -> None:
    assert len(run(20, 0.0, seed).past) == 7
    noisy = run(20, 0.5, seed).past
    assert len(noisy) == 20
    tried = [tuple(t.configuration.values()) for t in noisy]
    assert len(set(tried)) == 6
    assert sum(a == "z" for a, _ in tried) > 6  # the best are repeated most


def test_what_is_pending_is_not_repeated() -> None:
    evidence = run(20, 0.5, 0)
    handed = []
    for _ in range(6):
        (made,) = suggest(evidence, 1)
        handed.append(tuple(made.configuration.values()))
        evidence = replace(evidence, pending=(*evidence.pending, made.configuration))
    assert len(set(handed)) == 6
    assert not suggest(evidence, 1)
