"""The fake server's warm starts: the best configurations of earlier studies, at every second of the initial trials."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from bo_api.v1 import study_pb2

from bo_client.constraints import Configuration
from bo_client.errors import InvalidRequest, Violation
from bo_client.parameters import Value, listed
from bo_client.space import SearchSpace
from bo_client.testing.sampling import default_configuration
from bo_client.values import Metric, StudyInfo
from bo_client.wire.codec import study_from_wire
from bo_client.wire.codec_space import values_from_wire

if TYPE_CHECKING:
    from bo_client.testing.study import FakeStudy

MOST = 8
LEAST_INITIAL, MOST_INITIAL = 3, 10


def source_faults(names: Sequence[str]) -> Iterator[Violation]:
    """What is wrong whatever studies there are."""
    field = "suggestion.warm_start_studies"
    for i, name in enumerate(names):
        if not re.fullmatch(r"studies/[^/]+", name):
            yield Violation(f"{field}[{i}]", f"is {name!r}; give studies/STUDY, such as studies/first")
    if len(names) > MOST:
        yield Violation(field, f"has more than {MOST}; at most so many are allowed")
    if len(set(names)) < len(names):
        yield Violation(field, "names a study twice; name each once")


def check_sources(message: study_pb2.Study, studies: "Mapping[str, FakeStudy]") -> None:
    """Raises InvalidRequest where a study can't start from those it names."""
    faults = []
    study = study_from_wire(message)
    for i, source_id in enumerate(study.warm_start_studies):
        what = _fault(study, source_id, studies)
        if what:
            field = f"study.spec.suggestion.warm_start_studies[{i}]"
            faults.append(Violation(field, f"is 'studies/{source_id}', {what}"))
    if faults:
        raise InvalidRequest.listing(faults)


def opening(
    study: StudyInfo, studies: "Mapping[str, FakeStudy]", known: Sequence[Configuration]
) -> dict[str, Value] | None:
    """What did best in the sources and is new, where it is their turn among the initial trials; else None."""
    if len(known) % 2 == 0 or len(known) >= initial_trials(study):
        return None
    sources = [studies[name] for name in study.warm_start_studies if name in studies]
    turns = zip_longest(*(_ranked(source, study) for source in sources))
    return next((c for turn in turns for c in turn if c is not None and c not in known), None)


def initial_trials(study: StudyInfo) -> int:
    """How many trials come before the surrogate, as far as the fake server has one."""
    count = min(max(len(study.space.parameters), LEAST_INITIAL), MOST_INITIAL)
    return int(study.settings.get("initial_trials", count))


def _fault(study: StudyInfo, source_id: str, studies: "Mapping[str, FakeStudy]") -> str:
    if source_id == study.id:
        return "the study itself; name earlier ones"
    if source_id not in studies:
        return "which doesn't exist; name studies that do, or leave it out"
    source = studies[source_id].definition
    if not set(study.space.names) & set(source.space.names):
        return f"which has none of this study's parameters: its own are {listed(source.space.names)}"
    if not _shared_objectives(study, source):
        metrics = listed([metric.name for metric in source.metrics])
        return f"which measures none of this study's objectives: its metrics are {metrics}"
    return ""


def _shared_objectives(study: StudyInfo, source: StudyInfo) -> list[Metric]:
    measured = {metric.name for metric in source.metrics}
    return [metric for metric in study.metrics if metric.role == "objective" and metric.name in measured]


def _ranked(source: "FakeStudy", study: StudyInfo) -> list[dict[str, Value]]:
    """The source's configurations as ones of this study, the best first."""
    shared = _shared_objectives(study, source.definition)
    if not shared:  # another study has taken the name
        return []
    name, sign = shared[0].name, -1.0 if shared[0].goal == "maximize" else 1.0
    done = [t for t in source.trials.values() if name in t.final_measurement.metrics]
    done.sort(key=lambda trial: sign * trial.final_measurement.metrics[name])
    found = [default_configuration(study.space, values_from_wire(trial.parameters)) for trial in done]
    return [c for c in found if _is_valid(c, study.space)]


def _is_valid(configuration: Configuration, space: SearchSpace) -> bool:
    return not space.configuration_faults(configuration) and space.is_feasible(configuration)
