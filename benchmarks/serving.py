"""How long a server takes to suggest, prepared and not, with so many observations.

Usage: python -m benchmarks.serving --observations 10,100,1000,10000

One worker over one connection completes a trial, and asks for the next: at once, so that the surrogate has yet to be
computed, or after waiting until it has been prepared. What the time goes to is looked at in the server's metrics.
"""

import bo_client

SPACE = bo_client.SearchSpace(
    [
        *(bo_client.FloatParameter(f"x{i}", 1e-4, 1.0, scale="log") for i in range(4)),
        *(bo_client.IntParameter(f"k{i}", 1, 100) for i in range(2)),
        bo_client.CategoricalParameter("c", ["a", "b", "c"]),
        bo_client.CategoricalParameter("d", ["a", "b"]),
    ]
)
