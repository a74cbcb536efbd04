"""Search spaces, drawn and fixed, that the core's tests share."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import strategies as st

from bo_service.domain.constraints import Constraint, ForbiddenCombination, LinearConstraint
from bo_service.domain.parameter_types import (
    CategoricalDomain,
    DiscreteDomain,
    Domain,
    FloatDomain,
    IntDomain,
    Scale,
    Value,
)
from bo_service.domain.search_space import Activation, Parameter, SearchSpace

SCALES = st.sampled_from(Scale)


@st.composite
def float_domains(draw: st.DrawFn) -> FloatDomain:
    scale = draw(SCALES)
    low = draw(st.floats(1e-8, 1e3) if scale is Scale.LOG else st.floats(-1e3, 1e3))
    return FloatDomain(low, low + draw(st.floats(0.5, 1e6)), scale)


@st.composite
def int_domains(draw: st.DrawFn) -> IntDomain:
    scale = draw(SCALES)
    low = draw(st.integers(1, 50) if scale is Scale.LOG else st.integers(-1000, 1000))
    return IntDomain(low, low + draw(st.sampled_from([0, 1, 3, 40, 60, 10**6])), scale)


CATEGORIES = st.lists(st.text("abcdef", max_size=3), min_size=1, max_size=5, unique=True)
DOMAINS: st.SearchStrategy[Domain] = st.one_of(
    float_domains(),
    int_domains(),
    CATEGORIES.map(lambda v: CategoricalDomain(tuple(v))),
    st.just(CategoricalDomain((False, True))),
    CATEGORIES.map(lambda v: DiscreteDomain(tuple(v))),
    st.sets(st.integers(1, 500), min_size=1, max_size=6).map(lambda v: DiscreteDomain(tuple(sorted(v)), Scale.LOG)),
    st.sets(st.floats(-10, 10), min_size=1, max_size=6).map(lambda v: DiscreteDomain(tuple(sorted(v)))),
)


def some_value(domain: Domain, at: float) -> Value:
    """A valid value, by a number in [0, 1]."""
    match domain:
        case FloatDomain(low, high, _):
            return min(max(low + at * (high - low), low), high)
        case IntDomain(low, high, _):
            return low + int(at * (high - low))
        case CategoricalDomain(values) | DiscreteDomain(values, _):
            return values[min(int(at * len(values)), len(values) - 1)]


def complete(space_or_parameters: SearchSpace, at: Callable[[], float]) -> Mapping[str, Value]:
    """A configuration of the space."""
    return space_or_parameters.restrict({p.name: some_value(p.domain, at()) for p in space_or_parameters.parameters})


@st.composite
def search_spaces(draw: st.DrawFn, constrained: bool = True) -> SearchSpace:
    """1 to 5 parameters, some of them conditional, and up to two constraints."""
    unit = st.floats(0, 1)
    parameters: list[Parameter] = []
    for i in range(draw(st.integers(1, 5))):
        domain = draw(DOMAINS)
        rule = None
        if parameters and draw(st.booleans()):
            decider = draw(st.sampled_from(parameters))
            places = draw(st.sets(unit, min_size=1, max_size=3))
            rule = Activation(decider.name, tuple(dict.fromkeys(some_value(decider.domain, at) for at in places)))
        default = some_value(domain, draw(unit)) if draw(st.booleans()) else None
        parameters.append(Parameter(f"p{i}", domain, default, rule))
    constraints: list[Constraint] = []
    numeric = [p for p in parameters if isinstance(p.domain, FloatDomain | IntDomain)]
    if constrained and numeric and draw(st.booleans()):
        chosen = draw(st.lists(st.sampled_from(numeric), min_size=1, max_size=3, unique_by=lambda p: p.name))
        coefficients = {p.name: draw(st.sampled_from([-1.0, 0.5, 2.0])) for p in chosen}
        inside = sum(c * float(some_value(_domain(parameters, n), draw(unit))) for n, c in coefficients.items())
        constraints.append(LinearConstraint(coefficients, inside))
    if constrained and draw(st.booleans()):
        barred = draw(st.sampled_from(parameters))
        constraints.append(ForbiddenCombination({barred.name: some_value(barred.domain, draw(unit))}))
    return SearchSpace(tuple(parameters), tuple(constraints))


def _domain(parameters: list[Parameter], name: str) -> Domain:
    return next(p.domain for p in parameters if p.name == name)


@pytest.fixture(scope="session")
def spaces() -> st.SearchStrategy[SearchSpace]:
    """Spaces of all kinds of parameters, with conditions and constraints."""
    return search_spaces()


@pytest.fixture(scope="session")
def configured() -> st.SearchStrategy[tuple[SearchSpace, Mapping[str, Value]]]:
    """A space and a valid configuration of it."""
    return st.tuples(search_spaces(constrained=False), st.lists(st.floats(0, 1), min_size=5, max_size=5)).map(
        lambda pair: (pair[0], complete(pair[0], iter(pair[1]).__next__))
    )


@pytest.fixture(scope="session")
def mixed_space() -> SearchSpace:
    """A space like that of a training run, with every kind of parameter and a condition."""
    return SearchSpace(
        (
            Parameter("lr", FloatDomain(1e-5, 1e-1, Scale.LOG)),
            Parameter("kind", CategoricalDomain(("a", "b", "c", "d"))),
            Parameter("layers", IntDomain(1, 8)),
            Parameter("drop", FloatDomain(0.0, 0.8), default=0.2),
            Parameter("batch", DiscreteDomain((16, 32, 64, 128), Scale.LOG)),
            Parameter("tune", CategoricalDomain((False, True))),
            Parameter("lr_backbone", FloatDomain(1e-7, 1e-2, Scale.LOG), activation=Activation("tune", (True,))),
        )
    )
