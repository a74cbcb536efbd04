"""The last trials of a study repeat what leads, and a recommendation says which configuration to take."""

import json
import random
from collections import Counter
from collections.abc import Iterator

import bo_client
import pytest
from bo_client.cli.main import main
from bo_client.testing import InProcessServer
from click.testing import CliRunner

SPACE = {"x": (0.0, 1.0), "kind": ["a", "b"]}


@pytest.fixture
def client() -> Iterator[bo_client.Client]:
    server = InProcessServer()
    with server.client() as client:
        yield client
    server.close()


def created(client: bo_client.Client, **settings: object) -> bo_client.Study:
    given = {"direction": "minimize", "seed": 1, "max_trials": 12, "confirming_trials": 4, **settings}
    return client.create_study("s", SPACE, "loss", **given)  # type: ignore[arg-type]


def repeated(study: bo_client.Study) -> list[bo_client.Trial]:
    return [t for t in study.trials() if t.origin is bo_client.Origin.CONFIRMATION]


@pytest.mark.parametrize("algorithm", ["gaussian_process", "random", "quasi_random"])
def test_the_last_trials_repeat_the_best_on_average_one_after_another(client: bo_client.Client, algorithm: str) -> None:
    study, noise = created(client, algorithm=algorithm), random.Random(3)
    study.optimize(lambda p: (p["x"] - 0.3) ** 2 + noise.gauss(0.0, 0.3))
    trials = list(study.trials(full=True))
    assert [t.number for t in repeated(study)] == [9, 10, 11, 12]
    values: dict[str, list[float]] = {}
    for trial in trials:
        key = json.dumps(dict(trial.parameters))
        if trial.number > 8:
            assert key == min(values, key=lambda k: sum(values[k]) / len(values[k]))
            assert trial.explanation.summary.startswith("Repeats trial ")
        values.setdefault(key, []).append(trial.value("loss") or 0.0)
    assert study.info().state is bo_client.StudyState.COMPLETED


def test_workers_at_once_repeat_different_configurations(client: bo_client.Client) -> None:
    study = created(client)
    for number in range(8):
        study.ask().complete(number / 8)
    batch = study.suggest(4)
    best = [study.trial(n).parameters for n in (1, 2, 3, 4)]
    assert [t.parameters for t in batch] == best
    assert not study.suggest(1)


def test_the_search_goes_on_where_repetitions_show_no_noise(client: bo_client.Client) -> None:
    study = created(client)
    study.optimize(lambda p: (p["x"] - 0.3) ** 2)
    assert [t.number for t in repeated(study)] == [9]
    counts = Counter(json.dumps(dict(t.parameters)) for t in study.trials())
    assert sorted(counts.values()) == [1] * 10 + [2]


@pytest.mark.parametrize("reason", ["CRASHED", "OUT_OF_MEMORY"])
def test_a_configuration_whose_repetition_fails_is_not_repeated_again(client: bo_client.Client, reason: str) -> None:
    study = created(client, max_trials=8, max_attempts=1)
    for value in (0.1, 0.2, 0.3, 0.4):
        study.ask().complete(value)
    first = study.ask()
    assert first.parameters == study.trial(1).parameters
    first.fail(reason)
    assert study.ask().parameters == study.trial(2).parameters


def test_deleted_trials_leave_room_for_the_search(client: bo_client.Client) -> None:
    study = created(client)
    for number in range(8):
        study.ask().complete(number / 8)
    study.delete_trial(8)
    assert study.ask().origin is not bo_client.Origin.CONFIRMATION
    assert study.ask().origin is bo_client.Origin.CONFIRMATION


def test_bounds_on_outcomes_decide_what_is_repeated(client: bo_client.Client) -> None:
    metrics = [bo_client.Metric("loss", "minimize"), bo_client.Metric.at_most("size", 1.0)]
    study = client.create_study("s", SPACE, metrics, seed=1, max_trials=6, confirming_trials=1)
    for number in range(5):
        study.ask().complete({"loss": number / 8, "size": 2.0 if number < 2 else 0.5})
    assert study.ask().parameters == study.trial(3).parameters


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_trials": None}, "is 4, and the study has no max_trials, of which they would be the last: set"),
        ({"max_trials": 4}, "is 4, which leaves no trial of execution.max_trials, 4, to search with"),
        ({"fidelity": {"max": 9}}, "is 4, and trials of a study with a fidelity are not repeated"),
        ({"confirming_trials": 0}, "is 0; it must be from 1 to 100"),
    ],
)
def test_what_cannot_be_confirmed_is_refused(
    client: bo_client.Client, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=message):
        created(client, **settings)


def test_several_objectives_are_not_confirmed(client: bo_client.Client) -> None:
    metrics = [bo_client.Metric("a", "minimize"), bo_client.Metric("b", "minimize")]
    with pytest.raises(bo_client.InvalidRequest, match="supports one objective, and the study has 2"):
        client.create_study("s", SPACE, metrics, max_trials=9, confirming_trials=2)
    study = client.create_study("t", SPACE, metrics)
    with pytest.raises(bo_client.InvalidRequest, match=r"are 2 \(a, b\).*use best_trials"):
        study.recommend()


def test_confirming_trials_can_be_asked_for_later(client: bo_client.Client) -> None:
    study = created(client, confirming_trials=None)
    study.update(settings={"confirming_trials": 11})
    with pytest.raises(bo_client.InvalidRequest, match="which leaves no trial"):
        study.update(settings={"confirming_trials": 12})
    study.ask().complete(1.0)
    assert study.ask().origin is bo_client.Origin.CONFIRMATION


def test_raising_the_limit_searches_on_and_confirms_at_the_new_end(client: bo_client.Client) -> None:
    study, noise = created(client, algorithm="random"), random.Random(3)
    study.optimize(lambda p: p["x"] + noise.gauss(0.0, 1.0))
    study.resume(max_trials=20)
    study.optimize(lambda p: p["x"] + noise.gauss(0.0, 1.0))
    assert [t.number for t in repeated(study)] == [9, 10, 11, 12, 17, 18, 19, 20]


def test_a_lucky_value_is_not_recommended(client: bo_client.Client) -> None:
    study = client.create_study("noisy", {"x": (0.0, 1.0)}, "loss", direction="minimize")
    noise = random.Random(5)
    for i in range(12):
        study.add({"x": i / 11}, abs(i / 11 - 0.5) + noise.gauss(0.0, 0.02))
    for value in (-0.1, 0.5, 0.52, 0.49, 0.51):  # 0.5 on average, and once lucky
        study.add({"x": 0.999}, value)
    made = study.recommend()
    assert study.best_params["x"] == 0.999
    assert abs(made.parameters["x"] - 0.5) < 0.15
    assert made.runner_up is not None
    assert made.probability_over_runner_up is not None
    assert 0.0 < made.probability <= made.probability_over_runner_up <= 1.0
    best = study.analyze().best
    (leader,) = [c for c in best.contenders if c.trial == made.trial.number == best.recommended]
    assert leader.expected_regret == min(c.expected_regret for c in best.contenders)
    assert leader.probability_behind is None
    assert f"better than those of trial {made.runner_up} with probability" in made.summary
    run = CliRunner().invoke(main, ["best", "noisy", "--recommend", "--json"], obj=client)
    assert run.exit_code == 0, run.output
    record = json.loads(run.output)
    assert record["trial"]["parameters"] == dict(made.parameters)
    assert record["summary"] == made.summary
