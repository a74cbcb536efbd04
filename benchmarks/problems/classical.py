"""Classical functions in boxes that are not centered on the minimum, some of them noisy or with trials that fail."""

import math
from collections.abc import Callable, Sequence

from benchmarks.problems import functions as f
from benchmarks.problems.problem import Problem, Split
from benchmarks.problems.space import Config, box, vector

HARTMANN3 = (0.11461434, 0.55564885, 0.85254695)
HARTMANN6 = (0.20168951, 0.15001069, 0.47687397, 0.27533243, 0.31165162, 0.65730053)
MICHALEWICZ5 = (2.20290552, 1.57079633, 1.28499157, 1.92305847, 1.72046977)
SHIFTS20 = tuple(1.6 * math.sin(3.0 * i + 1.0) for i in range(20))


def on_box(
    name: str,
    formula: Callable[[f.Array], float],
    bounds: Sequence[tuple[float, float]],
    optimizer: Sequence[float],
    budget: int,
    split: Split = Split.DEVELOPMENT,
    noise: float = 0.0,
    fails: Callable[[Config], bool] | None = None,
) -> Problem:
    """A problem over real numbers x1 … xd."""
    space = box(bounds)
    parameters = {p.name: x for p, x in zip(space, optimizer, strict=True)}
    return Problem(name, space, lambda c: formula(vector(c)), budget, split, parameters, noise, fails)


def development() -> list[Problem]:
    """Those that the optimizer may be designed on."""
    unit = [(0.0, 1.0)]
    branin_box = [(-5.0, 10.0), (0.0, 15.0)]
    return [
        on_box("branin", f.branin, branin_box, (math.pi, 2.275), 30),
        on_box("hartmann6", f.hartmann6, unit * 6, HARTMANN6, 50),
        on_box("hartmann6-noisy", f.hartmann6, unit * 6, HARTMANN6, 50, noise=0.1),
        on_box("ackley5", f.ackley, [(-5.0, 10.0)] * 5, (0.0,) * 5, 50),
        on_box("rosenbrock4", f.rosenbrock, [(-2.0, 3.0)] * 4, (1.0,) * 4, 50),
        on_box("styblinski-tang5", f.styblinski_tang, [(-5.0, 4.0)] * 5, (-2.9035340277,) * 5, 50),
        on_box("ellipsoid20", lambda x: f.ellipsoid(x - SHIFTS20), [(-4.0, 4.0)] * 20, SHIFTS20, 60),
        on_box("branin-failing", f.branin, branin_box, (math.pi, 2.275), 40, fails=_far_up),
    ]


def validation() -> list[Problem]:
    """Those that are kept apart."""
    kept = Split.VALIDATION
    dixon_price = [2 ** (2.0**-i - 1) for i in range(4)]
    return [
        on_box("hartmann3", f.hartmann3, [(0.0, 1.0)] * 3, HARTMANN3, 30, kept),
        on_box("levy4", f.levy, [(-10.0, 6.0)] * 4, (1.0,) * 4, 40, kept),
        on_box("griewank6", f.griewank, [(-40.0, 60.0)] * 6, (0.0,) * 6, 50, kept),
        on_box("michalewicz5", f.michalewicz, [(0.0, math.pi)] * 5, MICHALEWICZ5, 50, kept),
        on_box("dixon-price4-noisy", f.dixon_price, [(-3.0, 4.0)] * 4, dixon_price, 50, kept, noise=5.0),
        on_box("zakharov5-failing", f.zakharov, [(-3.0, 6.0)] * 5, (0.0,) * 5, 50, kept, fails=_beyond),
    ]


def _far_up(config: Config) -> bool:
    """A fifth of Branin's box, next to one of the minima."""
    x = vector(config)
    return float(x[1] - 0.8 * x[0]) > 12.5


def _beyond(config: Config) -> bool:
    """A third of the box, next to the minimum."""
    return float(vector(config).sum()) < 4.0 and float(vector(config)[0]) > 0.5
