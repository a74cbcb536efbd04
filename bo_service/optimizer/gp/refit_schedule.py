"""When hyperparameters are learned anew: not after each observation, but at milestones, ever further apart.

n observations; m <= n, how many of the first of them hyperparameters are learned from, and the Cholesky factor is begun
with. From one milestone to the next both stay as they are, and an observation more costs O(n²).
"""

EVERY_ONE = 64
"""So many observations are milestones all."""
MOST_APART = 64


def last_refit_size(count: int) -> int:
    """Return the last refit at or before so many observations.

    Refits come from 64 on at multiples of 2, from 128 on of 4, and so on.
    """
    apart = 1
    while count >= apart * EVERY_ONE and apart < MOST_APART:
        apart *= 2
    return count - count % apart
