"""What the mathematics is done on."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Seed = tuple[int, ...]
"""Of a generator of random numbers."""
