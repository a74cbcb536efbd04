"""What Optuna, scikit-learn and pandas call the parts of a study, on ours."""

import datetime

import bo_client
import pytest

State = bo_client.TrialState


@pytest.fixture
def ended(study) -> bo_client.Study:
    """Three trials: two results and a failure of the parameters."""
    study.add({"lr": 0.1, "norm": "batch"}, {"loss": 2.0, "accuracy": 0.5})
    study.add({"lr": 0.2, "norm": "group", "groups": 3}, {"loss": 1.0, "accuracy": 0.75}, labels={"who": "me"})
    study.add({"lr": 0.3, "norm": "batch"}, failure="DIVERGED")
    return study


def test_the_best_in_one_word(ended) -> None:
    assert ended.best_params == {"lr": 0.2, "norm": "group", "groups": 3}
    assert ended.best_value == 1.0
    assert ended.best_trial == ended.best()


def test_without_a_result_there_is_no_best(study) -> None:
    for name in ("best_params", "best_value", "best_trial"):
        with pytest.raises(bo_client.FailedPrecondition, match="studies/s has no result yet") as caught:
            getattr(study, name)
        assert caught.value.reason == "NO_RESULT"


def test_several_objectives_have_no_single_best(server, space) -> None:
    metrics = [bo_client.Metric("loss", "minimize"), bo_client.Metric("score", "maximize")]
    study = server.client().create_study("several", space, metrics)
    with pytest.raises(bo_client.InvalidRequest, match=r"objectives: are 2 \(loss, score\).*use best_trials\(1\)"):
        _ = study.best_params


def test_trials_are_a_sequence(ended) -> None:
    trials = ended.trials()
    assert (trials[0].number, trials[-1].number, [t.number for t in trials[1:]]) == (1, 3, [2, 3])
    assert len(trials) == 3
    assert [t.number for t in trials] == [t.number for t in reversed(trials)][::-1] == [1, 2, 3]
    assert "loss" in trials._repr_html_()
    with pytest.raises(IndexError):
        _ = ended.trials(["QUEUED"])[0]
    with pytest.raises(IndexError):
        _ = trials[3]


def test_trials_are_an_iterator_too(ended) -> None:
    trials = ended.trials()
    assert next(trials).number == 1
    assert [t.number for t in trials] == [2, 3]
    assert next(trials, None) is None


def test_a_loop_over_trials_reads_page_by_page(server, space) -> None:
    study = server.client().create_study("many", space, "loss", goal="minimize")
    for place in range(30):
        study.add({"lr": 0.1 + place / 100, "norm": "batch"}, {"loss": 1.0})
    server.calls.clear()
    next(study.trials(full=True))
    assert study.trials(full=True)[0].number == 1
    assert [method for method, _ in server.calls] == ["ListTrials"] * 2
    assert len(study.trials(full=True)) == 30


def test_a_trial_has_its_parameters_under_their_names(ended) -> None:
    (trial,) = ended.suggest()
    for each in (ended.trial(2), trial):
        assert each["lr"] == each.params["lr"] == each.parameters["lr"]
        with pytest.raises(KeyError, match="'rate' is not a parameter of this trial; it has "):
            _ = each["rate"]


def test_define_by_run_is_sent_to_the_adapter(study) -> None:
    (trial,) = study.suggest()
    with pytest.raises(AttributeError, match=r"has no suggest_float.*create_study.*BoSampler"):
        trial.suggest_float("lr", 0.0, 1.0)
    with pytest.raises(AttributeError, match="'RunningTrial' object has no attribute 'color'"):
        _ = trial.color


def test_an_objective_in_the_style_of_optuna_is_told_where_the_space_is_defined(study) -> None:
    def objective(trial):
        return trial.suggest_float("lr", 0.0, 1.0)

    study.optimize(objective, n_trials=1)
    failure = study.trials()[0].failure
    assert failure is not None
    assert "has no suggest_float: the search space is given to create_study" in failure.message


def test_trials_as_a_data_frame(ended) -> None:
    pandas = pytest.importorskip("pandas")
    (trial,) = ended.suggest()
    trial.complete({"loss": 0.5})
    frame = ended.trials_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == [
        *("number", "state", "value", "metrics_loss", "metrics_accuracy", "params_lr", "params_norm", "params_groups"),
        *("labels_who", "datetime_start", "datetime_complete", "duration", "worker_id"),
    ]
    assert list(frame["number"]) == [1, 2, 3, 4]
    assert list(frame["state"]) == ["SUCCEEDED", "SUCCEEDED", "INFEASIBLE", "SUCCEEDED"]
    assert frame["value"].min() == 0.5
    assert frame["params_groups"].isna().sum() >= 2
    assert frame["labels_who"][1] == "me"
    assert frame["duration"][3] >= datetime.timedelta(0)
    assert frame.set_index("number")["params_lr"].idxmax() == 3


def test_a_data_frame_without_trials_has_its_columns(study) -> None:
    pytest.importorskip("pandas")
    frame = study.trials_dataframe()
    assert len(frame) == 0
    assert "params_lr" in frame.columns


def test_without_pandas_it_says_what_to_install(study, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r"trials_dataframe needs pandas.*pip install pandas"):
        study.trials_dataframe()


def test_ask_and_tell(study) -> None:
    trial = study.ask()
    assert study.tell(trial, 1.5).state is State.SUCCEEDED
    assert study.tell(study.ask().number, {"loss": 0.5, "accuracy": 0.75}).value("loss") == 0.5
    assert study.tell(study.ask(), float("nan")).failure.reason is bo_client.FailureReason.DIVERGED
    assert study.tell(study.ask(), failure="OUT_OF_MEMORY").state is State.INFEASIBLE
    assert study.best_value == 0.5


def test_telling_what_was_not_asked_is_refused(study) -> None:
    trial = study.ask()
    with pytest.raises(bo_client.NotFound, match=r"trial 9 was not returned by this object's ask\(\)"):
        study.tell(9, 1.0)
    with pytest.raises(bo_client.InvalidRequest, match="give exactly one of them"):
        study.tell(trial)
    study.tell(trial, 1.0)
    with pytest.raises(bo_client.FailedPrecondition):
        study.tell(trial, 2.0)


def test_asking_a_study_that_gives_nothing_says_why(study) -> None:
    study.pause()
    with pytest.raises(bo_client.FailedPrecondition, match="studies/s gave no trial: the study is paused") as caught:
        study.ask()
    assert caught.value.reason == "PAUSED"


def test_the_life_of_a_study(study) -> None:
    assert study.pause().state is bo_client.StudyState.PAUSED
    assert study.resume().state is bo_client.StudyState.ACTIVE
    assert study.finish().state is bo_client.StudyState.COMPLETED
    assert study.resume(max_trials=20).max_trials == 20
    assert study.rename("Flowers").display_name == "Flowers"
    study.delete()
    with pytest.raises(bo_client.NotFound):
        study.info()


def test_a_copy_has_the_definition_and_the_results(server, ended) -> None:
    copy = ended.copy("copied")
    info = copy.info()
    assert (info.space, info.metrics, info.settings) == tuple(
        getattr(ended.info(), name) for name in ("space", "metrics", "settings")
    )
    assert [(t.parameters, t.state, dict(t.labels)) for t in copy.trials()] == [
        (t.parameters, t.state, dict(t.labels)) for t in ended.trials()
    ]
    assert copy.best_value == 1.0
    assert len(ended.copy("empty", trials=False).trials()) == 0
    assert len(ended.copy("copied").trials()) == 3  # as the first time


def test_labels_are_stored_when_the_trial_ends_and_a_note_at_once(study) -> None:
    def train(parameters, trial):
        trial.set_label("gpu", 3)
        trial.set_note("the first with a warm-up")
        assert study.trial(trial.number).note.text == "the first with a warm-up"
        if trial.number == 2:
            raise MemoryError
        return 1.0

    study.optimize(train, n_trials=2)
    assert [dict(trial.labels) for trial in study.trials()] == [{"gpu": "3"}] * 2
    with pytest.raises(bo_client.InvalidRequest, match=r"labels\['gpu'\]: has 300 characters; give at most 256"):
        study.ask().set_label("gpu", "x" * 300)
