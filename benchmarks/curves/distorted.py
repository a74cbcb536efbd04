"""Data on which fast learners end badly: few rows, wrong labels, noisy targets. Validation rows stay as they are."""

from dataclasses import replace

import numpy as np

from benchmarks.curves import data
from benchmarks.curves.data import Data


def first(data: Data, count: int) -> Data:
    """Return so many of the rows that are trained on."""
    return replace(data, x=data.x[:count], y=data.y[:count])


def noisy(data: Data, deviation: float) -> Data:
    """Return targets with normal noise of a standard deviation, theirs being 1."""
    noise = np.random.default_rng(11).normal(0, deviation, len(data.y))
    return replace(data, y=(data.y + noise).astype(np.float32))


def segment() -> Data:
    """Return 400 patches of which 40 % have a label drawn at random."""
    return data.mislabeled(first(data.segment(), 400), 0.4)


def diamonds() -> Data:
    """Return 400 diamonds whose logarithmic prices have noise of one and a half times their deviation."""
    return noisy(first(data.diamonds(), 400), 1.5)


def mnist() -> Data:
    """Return 1,000 images of which 30 % have a label drawn at random."""
    return data.mislabeled(first(data.mnist(), 1000), 0.3)
