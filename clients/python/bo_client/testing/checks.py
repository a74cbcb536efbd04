"""The server's refusals, as far as a test of a program meets them."""

import math
import re
from collections.abc import Iterator, Mapping

from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import space_pb2, study_pb2, trial_pb2

from bo_client.errors import InvalidRequest, Violation
from bo_client.objective import differences
from bo_client.parameters import NAME
from bo_client.testing.stopping import stopping_faults
from bo_client.testing.warm_start import source_faults
from bo_client.values import Metric, StudyInfo
from bo_client.wire.codec import metric_from_wire, objective_from_wire
from bo_client.wire.codec_space import space_from_wire, values_from_wire

MAX_METRICS, MAX_OBJECTIVES = 16, 3
MAX_LABELS, MAX_LABEL_KEY, MAX_LABEL_VALUE = 64, 63, 256
MAX_OBJECTIVE_NAME, MAX_OPTIONS, MAX_OPTION_KEY, MAX_OPTION_VALUE = 256, 64, 128, 2048
STUDY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


def check_study_id(study_id: str) -> None:
    """Raises InvalidRequest."""
    if not STUDY_ID.fullmatch(study_id):
        allowed = "give 1 to 63 letters, digits, '-', '_' or '.', beginning with a letter or digit"
        raise InvalidRequest.of("study_id", f"is {study_id[:80]!r}; {allowed}")


def check_spec(spec: study_pb2.StudySpec) -> None:
    """Raises InvalidRequest, naming every field at fault."""
    metrics = [metric_from_wire(m) for m in spec.metrics]
    faults = [
        *(f.inside("space") for f in space_from_wire(spec.space).faults()),
        *_metric_faults(metrics),
        *_setting_faults(spec),
        *_faults_of_several(metrics, spec),
    ]
    if faults:
        raise InvalidRequest.listing([f.inside("study.spec") for f in faults])


def _faults_of_several(metrics: list[Metric], spec: study_pb2.StudySpec) -> Iterator[Violation]:
    """What is asked for beside several metrics that steer, and is of one alone."""
    objectives, limits = ([m for m in metrics if m.role == role] for role in ("objective", "constraint"))
    if len(objectives) > 1 and spec.suggestion.acquisition:
        given = study_pb2.Acquisition.Name(spec.suggestion.acquisition)
        yield Violation("suggestion.acquisition", f"is {given}, which is of one objective; leave it unspecified")
    is_stopped = spec.stopping.rule not in (study_pb2.STOPPING_RULE_UNSPECIFIED, study_pb2.STOPPING_RULE_NONE)
    if is_stopped and len(objectives) + len(limits) > 1:
        given = study_pb2.StoppingRule.Name(spec.stopping.rule)
        yield Violation("stopping.rule", f"is {given}, which judges one objective without constraint metrics")


def _metric_faults(metrics: list[Metric]) -> Iterator[Violation]:
    objectives = sum(m.role == "objective" for m in metrics)
    if not 1 <= len(metrics) <= MAX_METRICS:
        yield Violation("metrics", f"has {len(metrics)}; a study has 1 to {MAX_METRICS} metrics")
    elif not objectives:
        yield Violation("metrics", "has none of METRIC_ROLE_OBJECTIVE; one must be optimized")
    elif objectives > MAX_OBJECTIVES:
        fix = "make the others METRIC_ROLE_CONSTRAINT, or METRIC_ROLE_INFORMATION"
        yield Violation("metrics", f"has {objectives} of METRIC_ROLE_OBJECTIVE; at most {MAX_OBJECTIVES}: {fix}")
    for i, metric in enumerate(metrics):
        if not NAME.fullmatch(metric.name):
            yield Violation(f"metrics[{i}].name", f"is {metric.name!r}; it needs the form of a parameter's name")
        if metric.name in [m.name for m in metrics[:i]]:
            yield Violation(f"metrics[{i}].name", f"{metric.name!r} occurs twice; names must be distinct")
        if metric.goal is None and metric.role != "information":
            yield Violation(f"metrics[{i}].goal", "is unspecified; say GOAL_MINIMIZE or GOAL_MAXIMIZE")
        if metric.role == "constraint" and (metric.bound is None or not math.isfinite(metric.bound)):
            yield Violation(f"metrics[{i}].bound", f"is {metric.bound}; a constraint metric needs a finite bound")


_BOUNDS = (
    ("suggestion", "xi", 0, 10),
    ("suggestion", "initial_trials", 1, 1000),
    ("execution", "max_attempts", 1, 100),
    ("execution", "max_trials", 1, 1_000_000),
    ("stopping", "min_step", 0, 2**53),
    ("stopping", "max_step", 1, 2**53),
    ("stopping", "min_trials", 1, 1000),
)


def _setting_faults(spec: study_pb2.StudySpec) -> Iterator[Violation]:
    for group, name, low, high in _BOUNDS:
        owner = getattr(spec, group)
        if owner.HasField(name) and not low <= getattr(owner, name) <= high:
            yield Violation(f"{group}.{name}", f"is {getattr(owner, name)}; it must be from {low} to {high}")
    if spec.suggestion.HasField("beta") and not 0 < spec.suggestion.beta <= 100:
        yield Violation("suggestion.beta", f"is {spec.suggestion.beta}; it must be above 0 and at most 100")
    yield from source_faults(spec.suggestion.warm_start_studies)
    yield from stopping_faults(spec.stopping)
    if spec.execution.HasField("lease_duration"):
        seconds = spec.execution.lease_duration.ToTimedelta().total_seconds()
        if not 1 <= seconds <= 24 * 3600:
            yield Violation("execution.lease_duration", f"is {seconds:g} s; it must be from 1 s to 24 h")


def check_configuration(
    given: Mapping[str, space_pb2.ParameterValue], study: StudyInfo, field: str, must_be_feasible: bool
) -> None:
    """Raises InvalidRequest for values that are missing, unknown or not allowed."""
    configuration = values_from_wire(given)
    faults = study.space.configuration_faults(configuration)
    if faults:
        raise InvalidRequest.listing([Violation(f"{field}[{f.field!r}]", f.description) for f in faults])
    broken = [c for c in study.space.constraints if not c.holds(configuration)]
    if broken and must_be_feasible:
        raise InvalidRequest.of(field, f"break a constraint: {broken[0].description or broken[0]}")


def check_final(measurement: trial_pb2.Measurement, study: StudyInfo, field: str = "final_measurement") -> None:
    """Raises InvalidRequest for a metric that is missing or not finite."""
    for metric in study.metrics:
        if metric.role == "information":
            continue
        at = f"{field}.metrics[{metric.name!r}]"
        value = measurement.metrics.get(metric.name)
        if value is None:
            given = ", ".join(map(repr, sorted(measurement.metrics))) or "none"
            raise InvalidRequest.of(at, f"is missing; a final measurement needs it; metrics given: {given}")
        if not math.isfinite(value):
            fix = "a result must be finite: complete the trial with failure DIVERGED instead"
            raise InvalidRequest.of(at, f"is {value!r}; {fix}")


def check_labels(own: Mapping[str, str], given: Mapping[str, str]) -> None:
    """Raises InvalidRequest for labels that are too long, or too many together with the trial's own."""
    count = len({*own, *given})
    if count > MAX_LABELS:
        raise InvalidRequest.listing([Violation("labels", f"would be {count}; at most {MAX_LABELS} are allowed")])
    for key, text in given.items():
        if not 1 <= len(key) <= MAX_LABEL_KEY or len(text) > MAX_LABEL_VALUE:
            allowed = f"keys have 1 to {MAX_LABEL_KEY} characters, values at most {MAX_LABEL_VALUE}"
            raise InvalidRequest.listing([Violation("labels", f"has {key[:80]!r}: {text[:80]!r}; {allowed}")])


def check_objective(owner: study_pb2.Study | pb.SuggestTrialsRequest, field: str) -> None:
    """Raises InvalidRequest for an objective that is too long; one needn't be given."""
    faults = []
    given = owner.objective
    if owner.HasField("objective") and (not 1 <= len(given.name) <= MAX_OBJECTIVE_NAME or not given.name.isprintable()):
        faults.append(Violation("name", f"is {given.name[:80]!r}; give 1 to {MAX_OBJECTIVE_NAME} printable characters"))
    if len(given.options) > MAX_OPTIONS:
        faults.append(Violation("options", f"has {len(given.options)}; at most {MAX_OPTIONS} are allowed"))
    for key, text in sorted(given.options.items()):
        if not 1 <= len(key) <= MAX_OPTION_KEY or not key.isprintable():
            faults.append(Violation("options", f"has the key {key[:80]!r}; keys have 1 to {MAX_OPTION_KEY} characters"))
        if len(text) > MAX_OPTION_VALUE or "\0" in text:
            what = f"has {len(text)} characters; at most {MAX_OPTION_VALUE} are allowed, and no NUL"
            faults.append(Violation(f'options["{key[:80]}"]', what))
    if faults:
        raise InvalidRequest.listing([f.inside(field) for f in faults])


def objective_differences(study: study_pb2.Study, given: study_pb2.ObjectiveSpec) -> list[str]:
    """How it differs from the study's, where that has one."""
    kept = objective_from_wire(study.objective) if study.HasField("objective") else None
    return differences(kept, objective_from_wire(given))
