"""Classical functions to minimize; x (d,).

Sources are collected in Surjanovic and Bingham, "Virtual Library of Simulation Experiments",
https://www.sfu.ca/~ssurjano/optimization.html.
"""

import math

import numpy as np

Array = np.ndarray

ALPHA = np.array([1.0, 1.2, 3.0, 3.2])
STEEP3 = np.array([[3, 10, 30], [0.1, 10, 35], [3, 10, 30], [0.1, 10, 35]])
CENTERS3 = 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]])
STEEP6 = np.array(
    [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
)
CENTERS6 = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)


def branin(x: Array) -> float:
    """Three equal minima of 5 / (4π) in [−5, 10] × [0, 15]."""
    valley = x[1] - 5.1 / (4 * math.pi**2) * x[0] ** 2 + 5 / math.pi * x[0] - 6
    return float(valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x[0]) + 10)


def hartmann3(x: Array) -> float:
    """Minimum −3.8628 in the unit cube."""
    return -float(ALPHA @ np.exp(-(STEEP3 * (x - CENTERS3) ** 2).sum(axis=1)))


def hartmann6(x: Array) -> float:
    """Minimum −3.3224 in the unit cube."""
    return -float(ALPHA @ np.exp(-(STEEP6 * (x - CENTERS6) ** 2).sum(axis=1)))


def ackley(x: Array) -> float:
    """A narrow well of 0 at the origin among very many local minima."""
    well = 20 * math.exp(-0.2 * math.sqrt(float(np.mean(x * x))))
    return 20 - well + math.e - math.exp(float(np.mean(np.cos(2 * math.pi * x))))


def levy(x: Array) -> float:
    """Minimum 0 where all are 1."""
    w = 1 + (x - 1) / 4
    inner = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(math.pi * w[:-1] + 1) ** 2)
    last = (w[-1] - 1) ** 2 * (1 + np.sin(2 * math.pi * w[-1]) ** 2)
    return float(np.sin(math.pi * w[0]) ** 2 + inner.sum() + last)


def rosenbrock(x: Array) -> float:
    """A long curved valley with its minimum of 0 where all are 1."""
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def griewank(x: Array) -> float:
    """Ripples on a bowl; minimum 0 at the origin."""
    ripples = np.cos(x / np.sqrt(np.arange(1, len(x) + 1)))
    return float((x * x).sum() / 4000 - ripples.prod() + 1)


def styblinski_tang(x: Array) -> float:
    """2^d local minima; the least where all are −2.903534."""
    return float((x**4 - 16 * x**2 + 5 * x).sum() / 2)


def michalewicz(x: Array) -> float:
    """Steep ridges in [0, π]^d; in 5 dimensions the minimum is −4.687658."""
    i = np.arange(1, len(x) + 1)
    return -float((np.sin(x) * np.sin(i * x * x / math.pi) ** 20).sum())


def ellipsoid(x: Array) -> float:
    """A bowl, a hundred times as steep along the last as along the first; minimum 0 at the origin."""
    return float((100 ** (np.arange(len(x)) / (len(x) - 1)) * x * x).sum())


def dixon_price(x: Array) -> float:
    """A valley; minimum 0 where x_i = 2^(2^(1−i) − 1)."""
    i = np.arange(2, len(x) + 1)
    return float((x[0] - 1) ** 2 + (i * (2 * x[1:] ** 2 - x[:-1]) ** 2).sum())


def zakharov(x: Array) -> float:
    """A plate; minimum 0 at the origin."""
    tilt = float((0.5 * np.arange(1, len(x) + 1) * x).sum())
    return float((x * x).sum()) + tilt**2 + tilt**4
