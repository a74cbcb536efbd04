"""What goes over the wire comes back the same; what can't go over it is refused with its field."""

import math
from datetime import UTC, datetime

import bo_client
import pytest
from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import study_pb2, trial_pb2
from bo_client.wire import codec, codec_settings, codec_space
from hypothesis import example, given
from hypothesis import strategies as st

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,12}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
FLOATS = st.floats(allow_nan=False)
INTS = st.integers(-(2**53), 2**53)
SCALES = st.sampled_from(["linear", "log"])
VALUES = st.one_of(FLOATS, st.integers(-(2**63), 2**63 - 1), TEXTS, st.booleans())
LISTS = st.lists(VALUES, max_size=4)
ABOUT = {
    "name": NAMES,
    "activation": st.none() | st.builds(bo_client.Activation, NAMES, LISTS),
    "description": TEXTS,
    "unit": TEXTS,
}
PARAMETERS = st.one_of(
    st.builds(bo_client.FloatParameter, low=FLOATS, high=FLOATS, scale=SCALES, default=st.none() | FLOATS, **ABOUT),
    st.builds(bo_client.IntParameter, low=INTS, high=INTS, scale=SCALES, default=st.none() | INTS, **ABOUT),
    st.builds(bo_client.CategoricalParameter, values=LISTS, default=st.none() | VALUES, **ABOUT),
    st.builds(bo_client.DiscreteParameter, values=LISTS, scale=SCALES, default=st.none() | VALUES, **ABOUT),
)
CONSTRAINTS = st.one_of(
    st.builds(bo_client.LinearConstraint, st.dictionaries(NAMES, FLOATS, max_size=3), FLOATS, TEXTS),
    st.builds(bo_client.EqualityConstraint, st.dictionaries(NAMES, FLOATS, max_size=3), FLOATS, TEXTS),
    st.builds(bo_client.ForbiddenCombination, st.dictionaries(NAMES, VALUES, max_size=3), TEXTS),
)
SPACES = st.builds(bo_client.SearchSpace, st.lists(PARAMETERS, max_size=4), st.lists(CONSTRAINTS, max_size=2))
METRICS = st.builds(
    bo_client.Metric,
    NAMES,
    st.sampled_from([None, "minimize", "maximize"]),
    st.sampled_from(["objective", "constraint", "information"]),
    st.none() | FLOATS,
    TEXTS,
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "max_trials": st.integers(0, 2**63 - 1),
        "max_steps": st.integers(0, 2**63 - 1),
        "max_seconds": FLOATS,
        "lease_duration": st.integers(0, 10**9).map(lambda micros: micros / 1e6),
        "max_attempts": st.integers(0, 2**31 - 1),
        "seed": st.integers(-(2**63), 2**63 - 1),
        "algorithm": st.sampled_from(["gaussian_process", "quasi_random", "random", "grid", "hill_climb"]),
        "acquisition": st.sampled_from(["log_ei", "ucb", "log_pi", "portfolio"]),
        "per_cost": st.just(True),
        "initial_trials": st.integers(0, 2**31 - 1),
        "beta": FLOATS,
        "xi": FLOATS,
        "grid_points": st.integers(0, 2**31 - 1),
        "confirming_trials": st.integers(0, 2**31 - 1),
        "warm_start_studies": st.lists(NAMES, min_size=1, max_size=3).map(tuple),
    },
)


def over_the_wire(message):
    """Through bytes, as a real message goes."""
    return type(message).FromString(message.SerializeToString())


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_values(values: dict[str, bo_client.Value]) -> None:
    wire = over_the_wire(trial_pb2.Trial(parameters=codec_space.values_to_wire(values)))
    back = codec_space.values_from_wire(wire.parameters)
    assert back == values
    assert {name: type(value) for name, value in back.items()} == {n: type(v) for n, v in values.items()}


@given(SPACES)
@example(bo_client.SearchSpace([bo_client.DiscreteParameter("a", [1.0, 2.0], default=2**53 + 1)]))
def test_spaces(space: bo_client.SearchSpace) -> None:
    assert codec_space.space_from_wire(over_the_wire(codec_space.space_to_wire(space))) == space


@given(METRICS)
def test_metrics(metric: bo_client.Metric) -> None:
    assert codec.metric_from_wire(over_the_wire(codec.metric_to_wire(metric))) == metric


def test_a_bound_is_a_goal_and_a_role() -> None:
    assert bo_client.Metric.at_most("size", 5.0) == bo_client.Metric("size", "minimize", "constraint", 5.0)
    assert bo_client.Metric.at_least("recall", 0.5) == bo_client.Metric("recall", "maximize", "constraint", 0.5)


@pytest.mark.parametrize(
    ("metric", "within", "beyond"),
    [(bo_client.Metric.at_most("size", 5.0), 5.0, 5.1), (bo_client.Metric.at_least("recall", 0.5), 0.5, 0.4)],
)
def test_a_bound_admits_what_reaches_it(metric: bo_client.Metric, within: float, beyond: float) -> None:
    assert metric.admits(within)
    assert not metric.admits(beyond)
    assert bo_client.Metric("loss", "minimize").admits(math.inf)


@given(SETTINGS)
def test_settings(settings: bo_client.StudySettings) -> None:
    spec = codec.spec_to_wire(bo_client.SearchSpace([]), [], settings)
    assert codec_settings.settings_from_wire(over_the_wire(spec)) == settings


def test_what_is_not_per_cost_is_not_told() -> None:
    spec = codec.spec_to_wire(bo_client.SearchSpace([]), [], {"per_cost": True})
    codec_settings.settings_to_wire({"per_cost": False}, spec)
    assert codec_settings.settings_from_wire(over_the_wire(spec)) == {}


@given(SETTINGS)
def test_every_setting_has_its_path(settings: bo_client.StudySettings) -> None:
    """UpdateStudy changes what its mask names: each setting must be where SETTING_PATHS says."""
    study = study_pb2.Study(spec=codec.spec_to_wire(bo_client.SearchSpace([]), [], settings))
    for name in settings:
        owner, field = study, codec_settings.SETTING_PATHS[name].split(".")
        for part in field[:-1]:
            owner = getattr(owner, part)
        assert field[-1] in {descriptor.name for descriptor, _ in owner.ListFields()}


@given(
    st.dictionaries(NAMES, st.floats(allow_nan=False), max_size=4),
    st.integers(0, 2**63 - 1),
    st.none() | st.integers(0, 10**12).map(lambda micros: micros / 1e6),
)
def test_measurements(metrics: dict[str, float], step: int, elapsed: float | None) -> None:
    back = codec.measurement_from_wire(over_the_wire(codec.measurement_to_wire(metrics, step, elapsed)))
    assert (back.metrics, back.step) == (metrics, step)
    assert back.elapsed == (None if elapsed is None else pytest.approx(elapsed, abs=1e-6))


def test_curves_may_hold_what_is_not_finite() -> None:
    assert math.isnan(codec.measurement_from_wire(codec.measurement_to_wire({"loss": math.nan})).metrics["loss"])


@given(st.sampled_from(list(bo_client.FailureReason)), TEXTS)
def test_failures(reason: bo_client.FailureReason, message: str) -> None:
    back = codec.failure_from_wire(over_the_wire(codec.failure_to_wire(reason, message)))
    assert back == bo_client.Failure(reason, message)


def test_a_long_failure_keeps_its_end() -> None:
    assert codec.failure_to_wire("CRASHED", "x" * 20_000 + "the cause").message.endswith("the cause")
    assert len(codec.failure_to_wire("CRASHED", "x" * 20_000).message) == 10_000


def test_every_name_on_the_wire_is_known() -> None:
    """An enum that grows must grow here too."""
    for enum, prefix, ours in (
        (trial_pb2.TrialState, "TRIAL_STATE", bo_client.TrialState),
        (trial_pb2.FailureReason, "FAILURE_REASON", bo_client.FailureReason),
        (trial_pb2.Origin, "ORIGIN", bo_client.Origin),
        (study_pb2.StudyState, "STUDY_STATE", bo_client.StudyState),
        (service_pb.Shortfall, "SHORTFALL", bo_client.Shortfall),
    ):
        named = {name.removeprefix(f"{prefix}_") for name in enum.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
        assert named == set(ours), prefix


def test_a_whole_trial() -> None:
    message = trial_pb2.Trial(
        name="studies/s/trials/12",
        parameters=codec_space.values_to_wire({"lr": 0.1, "norm": "batch"}),
        state=trial_pb2.TRIAL_STATE_RUNNING,
        lease=trial_pb2.Lease(worker_id="w", token="secret"),
        attempt=2,
        checkpoint_uri="gs://a",
        labels={"a": "b"},
        origin=trial_pb2.ORIGIN_SURROGATE,
        failure=trial_pb2.Failure(reason=trial_pb2.FAILURE_REASON_TIMEOUT, message="slow"),
        explanation=trial_pb2.Explanation(
            summary="why", predictions=[trial_pb2.Prediction(metric="loss", mean=1.0, std=0.5)], nearest_distance=0.25
        ),
        stop_request=trial_pb2.StopRequest(),
        revision=7,
    )
    message.start_time.FromDatetime(datetime(2030, 1, 2, tzinfo=UTC))
    trial = codec.trial_from_wire(over_the_wire(message))
    assert trial == bo_client.Trial(
        number=12,
        name="studies/s/trials/12",
        parameters={"lr": 0.1, "norm": "batch"},
        state=bo_client.TrialState.RUNNING,
        worker_id="w",
        attempt=2,
        checkpoint_uri="gs://a",
        labels={"a": "b"},
        origin=bo_client.Origin.SURROGATE,
        failure=bo_client.Failure(bo_client.FailureReason.TIMEOUT, "slow"),
        explanation=bo_client.Explanation("why", (bo_client.Prediction("loss", 1.0, 0.5),), nearest_distance=0.25),
        stop_reason="",
        start_time=datetime(2030, 1, 2, tzinfo=UTC),
        revision=7,
    )


@pytest.mark.parametrize(
    ("space", "field"),
    [
        ([bo_client.FloatParameter("x", "low", 1.0)], "parameters[0].low"),
        ([bo_client.IntParameter("x", 0.5, 1)], "parameters[0].low"),
        ([bo_client.IntParameter("x", 0, 2**64)], "parameters[0].high"),
        ([bo_client.FloatParameter("x", 0.0, 1.0, scale="cube")], "parameters[0].scale"),
        ([bo_client.IntParameter("x", 0, 1, default=2**70)], "parameters[0].default"),
        ([bo_client.CategoricalParameter("x", [None])], "parameters[0].values[0]"),
        ([bo_client.FloatParameter(7, 0.0, 1.0)], "parameters[0]"),
        (["x"], "parameters[0]"),
    ],
)
def test_what_the_wire_cannot_carry_is_refused(space: list, field: str) -> None:
    with pytest.raises(bo_client.InvalidRequest) as refusal:
        codec_space.space_to_wire(bo_client.SearchSpace(space))
    assert field in refusal.value.violations[0].field


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: codec_space.value_to_wire(None, "lr"), "lr"),
        (lambda: codec_space.value_to_wire(2**70, "n"), "n"),
        (lambda: codec_space.value_to_wire([1], "list"), "list"),
        (lambda: codec.failure_to_wire("BORED", ""), "reason"),
        (lambda: codec.measurement_to_wire({"loss": "low"}), "loss"),
        (lambda: codec.measurement_to_wire({"loss": 1.0}, step=0.5), "step"),
    ],
)
def test_values_that_the_wire_cannot_carry_are_refused(make, field: str) -> None:
    with pytest.raises(bo_client.InvalidRequest) as refusal:
        make()
    assert any(field in violation.field for violation in refusal.value.violations)


def test_a_whole_number_is_a_fine_default_of_a_float() -> None:
    message = codec_space.space_to_wire(
        bo_client.SearchSpace([bo_client.FloatParameter("x", 0.0, 2.0, default=1), bo_client.IntParameter("n", 0, 1)])
    )
    assert message.parameters[0].default_value.float_value == 1.0
    assert not message.parameters[1].HasField("default_value")


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    assert codec_space.value_to_wire(numpy.float32(0.5)).float_value == 0.5
    assert codec_space.value_to_wire(numpy.int64(3)).int_value == 3
    assert codec_space.value_to_wire(numpy.bool_(True)).bool_value is True


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"seed": 2**70}, "seed"),
        ({"max_trials": "many"}, "max_trials"),
        ({"algorithm": ""}, "algorithm"),
        ({"algorithm": 3}, "algorithm"),
        ({"algorithm": "\ud800"}, "custom_algorithm"),
        ({"acquisition": "luck"}, "acquisition"),
        ({"per_cost": 1}, "per_cost"),
        ({"per_cost": "no"}, "per_cost"),
        ({"lease_duration": "1 min"}, "lease_duration"),
        ({"lease_duration": math.inf}, "lease_duration"),
        ({"warm_start_studies": "first"}, "warm_start_studies"),
        ({"warm_start_studies": 3}, "warm_start_studies"),
        ({"warm_start_studies": ["first", 2]}, "warm_start_studies[1]"),
        ({"tries": 3}, "tries"),
    ],
)
def test_wrong_settings_are_refused(settings: dict, field: str) -> None:
    with pytest.raises(bo_client.InvalidRequest) as refusal:
        codec.spec_to_wire(bo_client.SearchSpace([]), [], settings)
    assert field in refusal.value.violations[0].field


@pytest.mark.parametrize(
    "message",
    [
        trial_pb2.Trial(name="studies/s/trials/1", state=99),
        trial_pb2.Trial(name="studies/s/trials/1", parameters={"x": codec_space.pb.ParameterValue()}),
    ],
)
def test_what_is_newer_than_this_client_says_so(message: trial_pb2.Trial) -> None:
    with pytest.raises(bo_client.UnexpectedError, match="upgrade the client"):
        codec.trial_from_wire(message)
