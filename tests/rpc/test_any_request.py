"""Whatever a request holds, it is taken or refused, and a refusal names fields that the request has."""

import re

from bo_api.v1 import space_pb2, study_pb2, trial_pb2
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from bo_service.domain.errors import BoError, InvalidArgument
from bo_service.rpc.codec import study, trial

STEP = re.compile(r'([a-z_]+)(?:\[(\d+)\]|\["(.*)"\])?(?:\.|$)', re.DOTALL)
"""One step of a path: a field's name, with the number of an element or the key of an entry."""

few = st.integers(-2, 4)
enums = st.integers(0, 4)
words = st.sampled_from(["", "a", "b", "1", "ä b", 'c"]', "x" * 1001])
numbers = st.sampled_from([0.0, -1.0, 1.0, 2.5, 1e308, float("nan"), float("inf")])
values = st.one_of(
    st.builds(space_pb2.ParameterValue),
    st.builds(space_pb2.ParameterValue, float_value=numbers),
    st.builds(space_pb2.ParameterValue, int_value=st.integers(-(2**63), 2**63 - 1) | few),
    st.builds(space_pb2.ParameterValue, string_value=words),
    st.builds(space_pb2.ParameterValue, bool_value=st.booleans()),
)
lists = st.lists(values, max_size=3)
durations = st.builds(Duration, seconds=st.sampled_from([-(2**63), -1, 0, 1, 10**6, 2**63 - 1]), nanos=few)


def some(**fields):
    """Keyword arguments, any of them left out."""
    return st.fixed_dictionaries({}, optional=fields)


def made(kind, **fields):
    return some(**fields).map(lambda given: kind(**given))


activations = made(space_pb2.Activation, parameter=words, values=lists)
common = {"default_value": values, "activation": activations, "description": words, "unit": words}
kinds = st.one_of(
    some(),
    some(float_parameter=made(space_pb2.FloatParameter, low=numbers, high=numbers, scale=enums)),
    some(int_parameter=made(space_pb2.IntParameter, low=few, high=few, scale=enums)),
    some(categorical_parameter=made(space_pb2.CategoricalParameter, values=lists)),
    some(discrete_parameter=made(space_pb2.DiscreteParameter, values=lists, scale=enums)),
)
parameters = st.builds(
    lambda name, kind, more: space_pb2.Parameter(name=name, **kind, **more), words, kinds, some(**common)
)
linears = made(space_pb2.LinearConstraint, coefficients=st.dictionaries(words, numbers), upper_bound=numbers)
forbidden = made(space_pb2.ForbiddenCombination, parameters=st.dictionaries(words, values))
constraints = st.one_of(
    made(space_pb2.Constraint, linear=linears, description=words), made(space_pb2.Constraint, forbidden=forbidden)
)
spaces = made(
    space_pb2.SearchSpace, parameters=st.lists(parameters, max_size=4), constraints=st.lists(constraints, max_size=3)
)
metrics = made(study_pb2.Metric, name=words, goal=enums, role=enums, bound=numbers, unit=words)
suggestions = made(
    study_pb2.SuggestionSettings,
    algorithm=enums,
    acquisition=enums,
    beta=numbers,
    xi=numbers,
    initial_trials=few,
    seed=few,
    custom_algorithm=words,
    grid_points=few,
    confirming_trials=few,
)
executions = made(
    study_pb2.ExecutionSettings,
    lease_duration=durations,
    max_attempts=few,
    max_trials=few,
    max_steps=few,
    max_seconds=numbers,
)
specs = made(
    study_pb2.StudySpec,
    space=spaces,
    metrics=st.lists(metrics, max_size=3),
    suggestion=suggestions,
    stopping=made(study_pb2.StoppingSettings, rule=enums),
    execution=executions,
    fidelity=made(study_pb2.FidelitySettings, metric=words, max=few, min=few, promotion=enums),
)
measurements = made(
    trial_pb2.Measurement, step=few, metrics=st.dictionaries(words, numbers, max_size=3), elapsed=durations
)
trials = made(
    trial_pb2.Trial,
    parameters=st.dictionaries(words, values, max_size=3),
    measurements=st.lists(measurements, max_size=3),
    final_measurement=measurements,
    failure=made(trial_pb2.Failure, reason=enums, message=words),
    checkpoint_uri=words,
    labels=st.dictionaries(words, words),
)


def assert_there(message, path: str) -> None:
    """Follows a path such as `space.parameters[2].float_parameter.low` into the message."""
    while path:
        step = STEP.match(path)
        assert step, path
        path = path[step.end() :]
        name, number, key = step.groups()
        assert name in message.DESCRIPTOR.fields_by_name
        message = getattr(message, name)
        if key is not None:
            assert any(given.startswith(key) for given in message)  # long ones are shortened
            return
        if number is not None:
            message = message[int(number)]


def refusal_of(read, message, prefix):
    try:
        read(message, prefix)
    except BoError as error:
        return error
    return None


def assert_taken_or_refused(read, message, prefix) -> None:
    refusal = refusal_of(read, message, prefix)
    if isinstance(refusal, InvalidArgument):
        assert refusal.violations
        for violation in refusal.violations:
            assert violation.field.startswith(prefix)
            assert violation.description
            assert_there(message, violation.field.removeprefix(prefix).removeprefix("."))


@given(specs)
def test_any_spec(message) -> None:
    assert_taken_or_refused(study.spec_from_wire, message, "study.spec")


@given(trials)
def test_any_trial(message) -> None:
    assert_taken_or_refused(trial.new_trial_from_wire, message, "trial")
