"""Classical functions with known minima, to test workers, servers and optimizers.

d dimensions; x (d,), the parameters x1 … xd in this order. All are minimized.

Sources: Dixon and Szegö, "Towards Global Optimisation 2", North-Holland 1978 (Branin, Hartmann); Ackley, "A
Connectionist Machine for Genetic Hillclimbing", Kluwer 1987; Rosenbrock, "An automatic method for finding the greatest
or least value of a function", The Computer Journal 3 (1960); collected in Surjanovic and Bingham, "Virtual Library of
Simulation Experiments", https://www.sfu.ca/~ssurjano/optimization.html.
"""

import itertools
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bo_client import FloatParameter, Metric, SearchSpace, Value

from bo_objectives.base import Definition, Run
from bo_objectives.errors import SetupError

MAX_DIMENSIONS = 256
"""The maximum number of parameters of a study."""
MAX_STEPS = 10_000
"""The maximum number of measurements of a trial."""

Formula = Callable[[Sequence[float]], float]


@dataclass(frozen=True)
class Function:
    """A test function with its minimum, as an objective that measures `value`."""

    formula: Formula
    bounds: tuple[tuple[float, float], ...]
    """Low and high of each dimension."""
    minimum: float
    minimizers: tuple[Mapping[str, float], ...]
    """The configurations that reach the minimum."""
    noise: float = 0.0
    """Standard deviation of the normal noise of a trial's value; the same in each attempt at a trial."""
    delay: float = 0.0
    """Duration of a trial in seconds."""
    steps: int = 1
    """Number of points of the learning curve."""

    def define(self) -> Definition:
        """Return the parameters x1 … xd, and the metric `value`."""
        space = SearchSpace([FloatParameter(f"x{i}", *bounds) for i, bounds in enumerate(self.bounds, start=1)])
        options = {"noise": f"{self.noise:g}", "steps": str(self.steps)}  # the delay changes no value
        return Definition(space, (Metric("value", "minimize"),), options=options)

    def value(self, parameters: Mapping[str, Value]) -> float:
        """Return the function's value without noise."""
        return self.formula([float(parameters[f"x{i + 1}"]) for i in range(len(self.bounds))])

    def evaluate(self, parameters: Mapping[str, Value], run: Run) -> Mapping[str, float]:
        """Return the value with noise, to which the learning curve falls linearly from at most 1 above."""
        value = self.value(parameters) + random.Random(run.number).gauss(0.0, self.noise)
        for step in range(1, self.steps + 1):
            time.sleep(self.delay / self.steps)
            run.report(step, {"value": value + 1 - step / self.steps})
        return {"value": value}


def branin(noise: str = "0", delay: str = "0", steps: str = "1") -> Function:
    """Branin: 2 dimensions, three equal minima of 0.398.

    f(x) = (x2 − 5.1/(4π²)·x1² + 5/π·x1 − 6)² + 10·(1 − 1/(8π))·cos x1 + 10, x1 in [−5, 10], x2 in [0, 15].

    Options are those of every function here: `noise`, a standard deviation; `delay`, seconds a trial; `steps`, points
    of the learning curve.

    Raises:
        SetupError: a value that isn't allowed.
    """
    minimizers = [(-math.pi, 12.275), (math.pi, 2.275), (3 * math.pi, 2.475)]
    return _function(_branin, [(-5.0, 10.0), (0.0, 15.0)], 5 / (4 * math.pi), minimizers, noise, delay, steps)


def hartmann6(noise: str = "0", delay: str = "0", steps: str = "1") -> Function:
    """Hartmann: 6 dimensions, six local minima, the global one of −3.322.

    f(x) = −Σᵢ αᵢ·exp(−Σⱼ Aᵢⱼ·(xⱼ − Pᵢⱼ)²), each xⱼ in [0, 1].

    Options: those of `branin`.

    Raises:
        SetupError: a value that isn't allowed.
    """
    minimizer = (0.20168951, 0.15001069, 0.47687397, 0.27533243, 0.31165162, 0.65730053)
    return _function(_hartmann, [(0.0, 1.0)] * 6, -3.322368011415515, [minimizer], noise, delay, steps)


def ackley(dimensions: str = "2", noise: str = "0", delay: str = "0", steps: str = "1") -> Function:
    """Ackley: any number of dimensions, many local minima, the global one of 0 at the origin.

    f(x) = −20·exp(−0.2·√(Σᵢ xᵢ²/d)) − exp(Σᵢ cos(2π·xᵢ)/d) + 20 + e, each xᵢ in [−5, 10]: not the usual cube around
    the origin, whose center an optimizer that starts from the center would hit at once.

    Options: `dimensions`, and those of `branin`.

    Raises:
        SetupError: a value that isn't allowed.
    """
    d = _whole("dimensions", dimensions, 1, MAX_DIMENSIONS)
    return _function(_ackley, [(-5.0, 10.0)] * d, 0.0, [(0.0,) * d], noise, delay, steps)


def rosenbrock(dimensions: str = "2", noise: str = "0", delay: str = "0", steps: str = "1") -> Function:
    """Rosenbrock: 2 or more dimensions, a curved valley, minimum of 0 where all are 1.

    f(x) = Σᵢ 100·(xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)², each xᵢ in [−5, 10].

    Options: `dimensions`, and those of `branin`.

    Raises:
        SetupError: a value that isn't allowed.
    """
    d = _whole("dimensions", dimensions, 2, MAX_DIMENSIONS)
    return _function(_rosenbrock, [(-5.0, 10.0)] * d, 0.0, [(1.0,) * d], noise, delay, steps)


def _branin(x: Sequence[float]) -> float:
    x1, x2 = x
    valley = x2 - 5.1 / (4 * math.pi**2) * x1**2 + 5 / math.pi * x1 - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x1) + 10


_ALPHA = (1.0, 1.2, 3.0, 3.2)
_A = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
_P = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def _hartmann(x: Sequence[float]) -> float:
    distances = [
        sum(aj * (xj - pj) ** 2 for aj, xj, pj in zip(a, x, p, strict=True)) for a, p in zip(_A, _P, strict=True)
    ]
    return -sum(alpha * math.exp(-distance) for alpha, distance in zip(_ALPHA, distances, strict=True))


def _ackley(x: Sequence[float]) -> float:
    d = len(x)
    well = 20 * math.exp(-0.2 * math.sqrt(sum(v * v for v in x) / d))
    waves = math.exp(sum(math.cos(2 * math.pi * v) for v in x) / d)
    return 20 - well + math.e - waves


def _rosenbrock(x: Sequence[float]) -> float:
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in itertools.pairwise(x))


def _function(
    formula: Formula,
    bounds: Sequence[tuple[float, float]],
    minimum: float,
    minimizers: Sequence[Sequence[float]],
    noise: str,
    delay: str,
    steps: str,
) -> Function:
    return Function(
        formula,
        tuple(bounds),
        minimum,
        tuple({f"x{i}": v for i, v in enumerate(x, start=1)} for x in minimizers),
        noise=_number("noise", noise),
        delay=_number("delay", delay),
        steps=_whole("steps", steps, 1, MAX_STEPS),
    )


def _number(option: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise SetupError(f"option {option} is {text!r}; it must be a number from 0 up, such as 0.1")
    return number


def _whole(option: str, text: str, low: int, high: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise SetupError(f"option {option} is {text!r}; it must be a whole number from {low} to {high}")
    return number
