"""What goes over the wire comes back the same."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from bo_api.v1 import optimization_service_pb2 as service_pb
from bo_api.v1 import trial_pb2
from bo_client.wire import codec, codec_settings, codec_space
from hypothesis import given
from hypothesis import strategies as st

from bo_service.application.views import StudyView
from bo_service.domain import limits
from bo_service.domain.constraints import EqualityConstraint, ForbiddenCombination, LinearConstraint
from bo_service.domain.early_stopping import StoppingRule, StoppingSettings
from bo_service.domain.fidelity import FidelitySettings
from bo_service.domain.grid import grid_size
from bo_service.domain.parameter_types import CategoricalDomain, DiscreteDomain, FloatDomain, IntDomain, Scale
from bo_service.domain.search_space import NAME, Activation, Parameter, SearchSpace
from bo_service.domain.study import (
    Acquisition,
    Algorithm,
    ExecutionSettings,
    Goal,
    Metric,
    MetricRole,
    Study,
    StudySpec,
    SuggestionSettings,
)
from bo_service.domain.trial import Failure, FailureReason, Measurement, Origin, Trial, TrialState
from bo_service.rpc.codec import fields
from bo_service.rpc.codec import study as study_codec
from bo_service.rpc.codec import trial as trial_codec
from bo_service.rpc.codec.fields import STUDY_ID

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./-]{0,20}", fullmatch=True)
words = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12)
finite = st.floats(-1e6, 1e6)
scales = st.sampled_from(Scale)


@st.composite
def domains(draw):
    kind = draw(st.sampled_from(["float", "int", "categories", "booleans", "floats", "ints", "levels"]))
    if kind == "float":
        low = draw(st.floats(1e-6, 1e6))
        return FloatDomain(low, low * draw(st.floats(1.5, 100)), draw(scales))
    if kind == "int":
        low = draw(st.integers(1, 10**9))
        return IntDomain(low, low + draw(st.integers(0, 10**6)), draw(scales))
    if kind == "booleans":
        return CategoricalDomain((True, False))
    if kind == "floats":
        return DiscreteDomain(tuple(sorted(draw(st.sets(st.floats(0.1, 1e6), min_size=1, max_size=5)))), draw(scales))
    if kind == "ints":
        return DiscreteDomain(tuple(sorted(draw(st.sets(st.integers(1, 10**6), min_size=1, max_size=5)))), draw(scales))
    values = tuple(draw(st.lists(words, min_size=1, max_size=5, unique=True)))
    return CategoricalDomain(values) if kind == "categories" else DiscreteDomain(values)


def some_value(domain):
    return domain.low if isinstance(domain, FloatDomain | IntDomain) else domain.values[0]


@st.composite
def spaces(draw):
    parameters: list[Parameter] = []
    for name in draw(st.lists(names, min_size=1, max_size=5, unique=True)):
        domain = draw(domains())
        default = draw(st.sampled_from([None, some_value(domain)]))
        decider = draw(st.sampled_from([None, *parameters]))
        rule = None if decider is None else Activation(decider.name, (some_value(decider.domain),))
        parameters.append(Parameter(name, domain, default, rule, draw(words), draw(words)))
    constraints = []
    numeric = [p for p in parameters if isinstance(p.domain, FloatDomain | IntDomain)]
    if numeric:
        constraints.append(LinearConstraint({p.name: draw(finite) for p in numeric}, draw(finite), draw(words)))
        constraints.append(EqualityConstraint({p.name: draw(finite) for p in numeric}, draw(finite), draw(words)))
    constraints.append(ForbiddenCombination({parameters[0].name: some_value(parameters[0].domain)}))
    return SearchSpace(tuple(parameters), tuple(constraints))


@st.composite
def specs(draw):
    space, points = draw(spaces()), draw(st.integers(2, 9))
    is_small = grid_size(space, points) <= limits.MAX_GRID_SIZE
    algorithm = draw(st.sampled_from([a for a in Algorithm if is_small or a is not Algorithm.GRID]))
    suggestion = SuggestionSettings(
        algorithm,
        draw(st.sampled_from([None, *Acquisition])),
        draw(st.none() | st.floats(0.1, 100)),
        draw(st.none() | st.floats(0, 10)),
        draw(st.none() | st.integers(1, 1000)),
        draw(st.none() | st.integers(-(2**63), 2**63 - 1)),
        draw(st.booleans()),
        tuple(draw(st.lists(st.from_regex(STUDY_ID, fullmatch=True), max_size=8, unique=True))),
        draw(st.from_regex(NAME, fullmatch=True)) if algorithm is Algorithm.CUSTOM else "",
        points if algorithm is Algorithm.GRID else None,
    )
    execution = ExecutionSettings(
        timedelta(microseconds=draw(st.integers(10**6, 10**9))),
        draw(st.integers(1, 100)),
        draw(st.none() | st.integers(1, 10**6)),
    )
    metrics = (Metric("loss", draw(st.sampled_from(Goal)), unit="nats"), Metric("time", None, MetricRole.INFORMATION))
    stopping = StoppingSettings(
        draw(st.sampled_from(StoppingRule)),
        draw(st.none() | st.integers(0, 2**52)),
        draw(st.integers(1, 1000)),
        draw(st.floats(1, 100, exclude_min=True)),
        draw(st.none() | st.integers(2**52 + 1, 2**53)),
        draw(st.floats(0.5, 1, exclude_max=True)),
    )
    fidelity = None
    if stopping.rule is StoppingRule.NONE:
        lowest = draw(st.integers(1, 2**52))
        fidelity = draw(st.none() | st.builds(FidelitySettings, st.integers(lowest + 1, 2**53), st.just(lowest)))
    return StudySpec(space, metrics, suggestion, execution, stopping, fidelity)


@given(specs())
def test_specs(spec) -> None:
    assert study_codec.spec_from_wire(study_codec.spec_to_wire(spec), "spec") == spec


@given(specs())
def test_specs_pass_through_the_client_unchanged(spec) -> None:
    sent = study_codec.spec_to_wire(spec)
    metrics = [codec.metric_from_wire(metric) for metric in sent.metrics]
    back = codec.spec_to_wire(codec_space.space_from_wire(sent.space), metrics, codec_settings.settings_from_wire(sent))
    assert study_codec.spec_from_wire(back, "spec") == spec


def typed(values):
    return {name: (type(value), value) for name, value in values.items()}


@given(st.dictionaries(names, finite | st.integers(-(2**53), 2**53) | words | st.booleans(), max_size=6))
def test_configurations_keep_their_types(configuration) -> None:
    wire = fields.configuration_to_wire(configuration)
    assert typed(fields.configuration_from_wire(wire, "f")) == typed(configuration)


@given(
    st.dictionaries(names, st.floats(allow_nan=False), min_size=1, max_size=4),
    st.integers(0, 2**53),
    st.none() | st.integers(0, 10**12),
)
def test_measurements(metrics, step, microseconds) -> None:
    elapsed = None if microseconds is None else timedelta(microseconds=microseconds)
    measurement = Measurement(metrics, step, elapsed)
    found = trial_codec.measurement_from_wire(trial_codec.measurement_to_wire(measurement), "m")
    assert found == measurement


@pytest.mark.parametrize("reason", FailureReason)
def test_failures(reason) -> None:
    failure = Failure(reason, "why")
    assert trial_codec.failure_from_wire(trial_codec.failure_to_wire(failure), "failure") == failure


NOW = datetime(2026, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)


def test_every_state_and_origin_has_a_number() -> None:
    trial = Trial("s", 3, {"x": 1.0}, NOW, Origin.USER)
    for state in TrialState:
        wire = trial_codec.trial_to_wire(replace(trial, state=state), None, token_visible=False)
        assert trial_pb2.TrialState.Name(wire.state) == f"TRIAL_STATE_{state.name}"
    for origin in Origin:
        wire = trial_codec.trial_to_wire(replace(trial, origin=origin), None, token_visible=False)
        assert trial_pb2.Origin.Name(wire.origin) == f"ORIGIN_{origin.name}"


def test_an_update_changes_what_the_mask_names_and_nothing_else() -> None:
    space = SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),))
    spec = StudySpec(
        space,
        (Metric("loss", Goal.MINIMIZE),),
        SuggestionSettings(acquisition=Acquisition.UCB, beta=3.0, seed=7),
        ExecutionSettings(timedelta(seconds=9), 4, 20),
    )
    request = service_pb.UpdateStudyRequest()
    request.study.name = "studies/s"
    request.study.spec.execution.max_trials = 50
    request.study.display_name = "ignored"
    request.update_mask.paths.extend(["spec.execution.max_trials", "spec.suggestion.beta"])
    change = study_codec.update_from_wire(request)
    assert (change.display_name, change.labels, change.state) == (None, None, None)
    expected = replace(
        spec,
        suggestion=replace(spec.suggestion, beta=None),
        execution=replace(spec.execution, max_trials=50),
    )
    assert change.revise(spec) == expected
    request.update_mask.paths[:] = ["spec.suggestion"]
    assert study_codec.update_from_wire(request).revise(spec).suggestion == SuggestionSettings()


def test_a_study_tells_its_counts() -> None:
    spec = StudySpec(SearchSpace((Parameter("x", FloatDomain(0.0, 1.0)),)), (Metric("loss", Goal.MINIMIZE),))
    study = Study("s", spec, NOW, NOW, "S", {"a": "b"}, revision=4)
    wire = study_codec.study_to_wire(StudyView(study, {TrialState.FAILED: 2, TrialState.QUEUED: 1}))
    assert not wire.HasField("objective")
    assert not wire.HasField("recent_failures")
    assert (wire.trial_counts.failed, wire.trial_counts.queued, wire.trial_counts.running) == (2, 1, 0)
    assert wire.create_time.ToDatetime(UTC) == NOW
    assert (wire.name, wire.revision, dict(wire.labels)) == ("studies/s", 4, {"a": "b"})
