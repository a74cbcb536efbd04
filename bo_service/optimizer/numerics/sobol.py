"""Sobol's sequence, scrambled: points spread evenly over the unit cube, in numpy alone.

d dimensions, 2^k points U (2^k, d) of b = 30 bits. V (d, b) holds the direction numbers, V_j = m_j 2^(b - 1 - j) with
odd m_j: its last one is j places from the left. They are Joe and Kuo's (2008), under a BSD license; `joe_kuo.txt`, with
those that all others grow from, keeps their notice.

    V_j = a_1 V_(j-1) ^ … ^ a_(s-1) V_(j-s+1) ^ V_(j-s) ^ (V_(j-s) >> s)        from j = s on (Bratley and Fox 1988)
    x_(2n-1-i) = x_i ^ V_j        for i < n = 2^j: in the order of the Gray code each half mirrors the one before

Scrambled (Matoušek 1998), the bits of each V_j are multiplied by a random lower triangular matrix with ones on its
diagonal, and x_0 is random. All is drawn as scipy's `qmc.Sobol` draws it: the points are the same.
"""

from functools import cache, reduce
from operator import xor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bo_service.optimizer.numerics.array import Array

DirectionNumbers = NDArray[np.uint32]

BITS = 30
PLACES = np.arange(BITS, dtype=np.uint32)
ONES: DirectionNumbers = np.uint32(1) << PLACES[::-1]
"""(b,): a one at each place from the left."""
BELOW: DirectionNumbers = np.tril(np.ones((BITS, BITS), dtype=np.uint32), -1) * ONES[:, None]
"""(b, b): what the entries of a triangular matrix, but for its diagonal, are worth in its columns."""


def scrambled_sobol(d: int, k: int, rng: np.random.Generator) -> Array:
    """Return U (2^k, d): the first points of a sequence scrambled by a generator of its own, spawned by `rng`.

    Raises:
        ValueError: for more dimensions than there are direction numbers, or more points than bits tell apart.
    """
    if d > len(directions()) or k > BITS:
        raise ValueError(f"there are 2^{BITS} points in {len(directions())} dimensions; not 2^{k} in {d}")
    (own,) = rng.spawn(1)
    x = np.empty((d, 2**k), dtype=np.uint32)
    x[:, 0] = own.integers(2, size=(d, BITS), dtype=np.uint32) @ ONES[::-1]
    V = _scrambled(directions()[:d, :k], own)
    for j in range(k):
        n = 2**j
        np.bitwise_xor(x[:, n - 1 :: -1], V[:, j, None], out=x[:, n : 2 * n])
    return np.asarray((x * 0.5**BITS).T)


def _scrambled(V: DirectionNumbers, rng: np.random.Generator) -> DirectionNumbers:
    """Multiply the first k direction numbers (d, k) by random matrices."""
    d, k = V.shape
    drawn = rng.integers(2, size=(d, BITS, BITS), dtype=np.uint32)
    columns = (drawn[:, :, :k] * BELOW[:, :k]).sum(axis=1, dtype=np.uint32) | ONES[:k]
    product = np.zeros_like(V)
    for i in range(k):  # V_j has no bits further to the right than j
        product[:, i:] ^= columns[:, i, None] * (V[:, i:] >> PLACES[-1 - i] & np.uint32(1))
    return product


@cache
def directions() -> DirectionNumbers:
    """Return the direction numbers V (most dimensions, b), not scrambled."""
    lines = Path(__file__).with_name("joe_kuo.txt").read_text(encoding="ascii").splitlines()
    listed = [[int(number) for number in line.split()] for line in lines if line[:1].isdigit()]
    return np.array([ONES.tolist(), *(_grown(s, a, m) for _, s, a, *m in listed)], dtype=np.uint32)


def _grown(s: int, a: int, m: list[int]) -> list[int]:
    """Compute the direction numbers V (b,) of one dimension.

    They follow the recurrence of a polynomial of degree s with inner coefficients a, from m (s,).
    """
    V = [m_j << (BITS - 1 - j) for j, m_j in enumerate(m)]
    terms = [i for i in range(1, s) if a >> (s - 1 - i) & 1]
    for j in range(s, BITS):
        V.append(reduce(xor, (V[j - i] for i in terms), V[j - s] ^ V[j - s] >> s))
    return V
