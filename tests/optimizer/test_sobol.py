"""The scrambled sequence: scipy's, to the last bit, and even in every dimension."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import qmc

from bo_service.domain.limits import MAX_PARAMETERS
from bo_service.optimizer.numerics.sobol import BITS, directions, scrambled_sobol

SEEDS = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("k", [0, 1, 2, 5, 8, 12])
@pytest.mark.parametrize("d", [1, 2, 7, 64, MAX_PARAMETERS])
def test_the_points_are_scipys_to_the_last_bit(d: int, k: int) -> None:
    for seed in (0, 1, 2**64 - 1):
        theirs = qmc.Sobol(d, scramble=True, rng=np.random.default_rng(seed)).random_base2(k)
        ours = scrambled_sobol(d, k, np.random.default_rng(seed))
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


@given(seed=SEEDS, d=st.integers(1, 40), k=st.integers(0, 10))
def test_whatever_the_seed(seed: int, d: int, k: int) -> None:
    theirs = qmc.Sobol(d, scramble=True, rng=np.random.default_rng(seed)).random_base2(k)
    assert np.array_equal(scrambled_sobol(d, k, np.random.default_rng(seed)), theirs)


@given(seed=SEEDS, d=st.integers(1, MAX_PARAMETERS), k=st.integers(0, 8))
def test_each_block_of_points_has_one_in_each_interval(seed: int, d: int, k: int) -> None:
    """A (0, k, 1)-net in each dimension: one of every 2^k successive points in each of 2^k equal intervals."""
    points = scrambled_sobol(d, min(k + 2, 9), np.random.default_rng(seed))
    assert points.min() >= 0.0
    assert points.max() < 1.0
    for block in np.split(points, len(points) >> k):
        places = np.sort(np.floor(block * 2**k), axis=0)
        assert (places == np.arange(2**k)[:, None]).all()


def test_each_block_of_points_is_even_in_the_first_two_dimensions_together() -> None:
    """There the sequence is of quality t = 0: one of every 2^k points in each box of volume 2^-k."""
    points = scrambled_sobol(2, 8, np.random.default_rng(5))
    for wide in range(9):
        non_dominated_boxes = np.floor(points * [2**wide, 2 ** (8 - wide)])
        assert len(np.unique(non_dominated_boxes, axis=0)) == 256


def test_longer_sequences_begin_as_shorter_ones() -> None:
    long, short = (scrambled_sobol(5, k, np.random.default_rng(3)) for k in (9, 6))
    assert np.array_equal(long[: len(short)], short)


def test_there_are_direction_numbers_for_as_many_parameters_as_a_space_may_have() -> None:
    assert np.array_equal(directions(), qmc.Sobol(MAX_PARAMETERS, scramble=False)._sv)


def test_many_points_are_scipys_too() -> None:
    theirs = qmc.Sobol(3, scramble=True, rng=np.random.default_rng(9)).random_base2(19)
    assert np.array_equal(scrambled_sobol(3, 19, np.random.default_rng(9)), theirs)


@pytest.mark.parametrize(("d", "k"), [(MAX_PARAMETERS + 1, 5), (2, BITS + 1)])
def test_what_there_are_no_numbers_for_is_refused(d: int, k: int) -> None:
    with pytest.raises(ValueError, match="not 2"):
        scrambled_sobol(d, k, np.random.default_rng(0))
