"""Studies that start from earlier ones."""

from dataclasses import replace

import pytest

from bo_service.application import studies, suggest_trials, trials
from bo_service.domain.errors import InvalidArgument
from bo_service.domain.parameter_types import CategoricalDomain, FloatDomain, Scale
from bo_service.domain.search_space import Parameter, SearchSpace
from bo_service.domain.study import Goal, Metric, MetricRole, StudySpec, SuggestionSettings
from bo_service.domain.trial import Failure, FailureReason, Measurement, Origin
from tests.application.whole import evidence_of

OTHER = SearchSpace(
    (
        Parameter("lr", FloatDomain(1e-6, 0.1, Scale.LOG)),
        Parameter("norm", CategoricalDomain(("layer", "none"))),
        Parameter("drop", FloatDomain(0.0, 1.0), default=0.2),
    )
)
LOSS = Metric("loss", Goal.MINIMIZE)


def create(app, study_id, *sources, space=OTHER, metrics=(LOSS,)):
    spec = StudySpec(space, metrics, SuggestionSettings(warm_start_studies=sources))
    studies.create_study(app, studies.NewStudy(study_id, spec, "", {}), None)
    return spec


def add(app, study_id, value, **parameters):
    final = None if value is None else Measurement({"loss": value})
    failure = Failure(FailureReason.OUT_OF_MEMORY) if value is None else None
    new = trials.NewTrial(parameters, {}, final_measurement=final, failure=failure)
    return trials.create_trial(app, study_id, new, None)


def inputs(app, study_id):
    with app.store.read() as records:
        return evidence_of(records, records.get_study(study_id))


def test_trials_of_the_source_arrive_in_this_space_and_direction(app, make_study) -> None:
    make_study("old")
    add(app, "old", 0.5, lr=0.01, norm="layer")
    add(app, "old", 0.7, lr=0.02, norm="batch")  # a value that isn't allowed here
    add(app, "old", 0.9, lr=0.5, norm="layer")  # beyond this study's bounds
    add(app, "old", None, lr=0.03, norm="layer")
    create(app, "new", "old")
    (source,) = inputs(app, "new").sources
    assert (source.name, source.objective) == ("old", 0)
    told = {t.number: (t.configuration, t.value) for t in source.observations}
    assert told == {
        1: ({"lr": 0.01, "norm": "layer", "drop": 0.2}, -0.5),
        4: ({"lr": 0.03, "norm": "layer", "drop": 0.2}, None),
    }


def test_the_best_of_the_source_is_tried_early(app, make_study) -> None:
    make_study("old")
    for lr in (0.003, 0.01, 0.1):
        add(app, "old", lr, lr=lr, norm="layer")
    create(app, "new", "old")
    handout = suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("new", 3, "w", 10.0), None)
    assert [t.origin for t in handout.trials] == [Origin.DEFAULT, Origin.WARM_START, Origin.QUASI_RANDOM]
    assert handout.trials[1].parameters == {"lr": 0.003, "norm": "layer", "drop": 0.2}


def test_a_source_that_is_deleted_later_is_forgotten(app, make_study) -> None:
    make_study("old")
    add(app, "old", 1.0, lr=0.01, norm="layer")
    spec = create(app, "new", "old")
    studies.delete_study(app, "old", None)
    assert inputs(app, "new").sources == ()
    create(app, "new", "old")  # the same request again
    change = studies.StudyUpdate(lambda s: replace(s, execution=replace(s.execution, max_trials=5)))
    assert studies.update_study(app, "new", change, None).study.spec.suggestion == spec.suggestion


def test_each_objective_learns_from_the_metric_of_its_name(app, make_study) -> None:
    make_study("old")
    add(app, "old", 1.0, lr=0.01, norm="layer")
    create(app, "new", "old", metrics=(Metric("size", Goal.MINIMIZE), LOSS))
    (source,) = inputs(app, "new").sources
    assert (source.objective, source.observations[0].value) == (1, -1.0)


def test_what_a_source_merely_noted_counts_too(app) -> None:
    create(app, "old", metrics=(Metric("accuracy", Goal.MAXIMIZE), Metric("loss", None, MetricRole.INFORMATION)))
    for metrics in ({"accuracy": 0.5, "loss": 2.0}, {"accuracy": 0.6}):
        new = trials.NewTrial(
            {"lr": 0.01 * metrics["accuracy"], "norm": "none", "drop": 0.1}, {}, final_measurement=Measurement(metrics)
        )
        trials.create_trial(app, "old", new, None)
    create(app, "new", "old")
    (source,) = inputs(app, "new").sources
    assert [t.value for t in source.observations] == [-2.0]


@pytest.mark.parametrize(
    ("sources", "hint"),
    [
        (("new",), "the study itself"),
        (("missing",), "doesn't exist"),
        (("strange",), "none of this study's parameters: its own are 'width'"),
        (("unmeasured",), "none of this study's objectives: its metrics are 'error'"),
    ],
)
def test_a_study_names_sources_that_can_help(app, make_study, sources, hint) -> None:
    create(app, "strange", space=SearchSpace((Parameter("width", FloatDomain(0.0, 1.0)),)))
    create(app, "unmeasured", metrics=(Metric("error", Goal.MINIMIZE),))
    create(app, "good")
    with pytest.raises(InvalidArgument) as refusal:
        create(app, "new", "good", *sources)
    (violation,) = refusal.value.violations
    assert violation.field == "study.spec.suggestion.warm_start_studies[1]"
    assert hint in violation.description
    create(app, "new", "good")
    change = studies.StudyUpdate(
        lambda spec: replace(spec, suggestion=SuggestionSettings(warm_start_studies=("good", *sources)))
    )
    with pytest.raises(InvalidArgument):
        studies.update_study(app, "new", change, None)


def test_too_many_sources_and_sources_twice_are_refused() -> None:
    for sources, hint in ((tuple(f"s{i}" for i in range(9)), "at most 8 are allowed"), (("a", "a"), "twice")):
        with pytest.raises(InvalidArgument) as refusal:
            StudySpec(OTHER, (LOSS,), SuggestionSettings(warm_start_studies=sources))
        assert hint in refusal.value.violations[0].description


def test_running_trials_of_a_source_are_not_told(app, make_study) -> None:
    make_study("old")
    suggest_trials.suggest_trials(app, suggest_trials.SuggestRequest("old", 1, "w", 10.0), None)
    create(app, "new", "old")
    assert inputs(app, "new").sources == ()
