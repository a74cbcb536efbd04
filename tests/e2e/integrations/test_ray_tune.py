"""The searcher by itself, and in a real run of Ray Tune, beside a real server."""

import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bo_client
import pytest
from bo_client import FailureReason, TrialState

from tests.packages import Deferred

tune = Deferred("ray.tune", "needs the extra ray-tune")
ray_search = Deferred("ray.tune.search")
bo_ray = Deferred("bo_client.integrations.ray_tune")
bo_space = Deferred("bo_client.integrations.ray_space")
pytestmark = pytest.mark.xdist_group("ray")  # which is loaded once


def space() -> dict[str, Any]:
    return {"lr": tune.loguniform(1e-4, 1e-1), "model": {"layers": tune.randint(1, 5), "act": "relu"}}


@pytest.fixture
def make_search(address: str, study_id: str) -> Callable[..., Any]:
    def make(**options: Any) -> Any:
        return bo_ray.BoSearch(
            address, study_id=study_id, **{"space": space(), "metric": "loss", "mode": "min", **options}
        )

    return make


@pytest.fixture
def trials(client: bo_client.Client, study_id: str) -> Callable[..., list[bo_client.Trial]]:
    return lambda full=False: list(client.study(study_id).trials(full=full))


def test_a_trial_goes_from_suggestion_to_result(make_search, trials) -> None:
    search = make_search()
    config = search.suggest("a")
    assert config.keys() == {"lr", "model"}
    assert config["model"]["act"] == "relu"
    search.on_trial_result("a", {"loss": 2.0, "training_iteration": 1})
    search.on_trial_result("a", {"other": 2.0, "training_iteration": 2})
    search.on_trial_complete("a", {"loss": 1.0, "training_iteration": 3, "done": True})
    (told,) = trials(full=True)
    assert dict(told.parameters) == {"lr": config["lr"], "model/layers": config["model"]["layers"]}
    assert [(m.step, m.metrics["loss"]) for m in told.measurements] == [(1, 2.0)]
    assert (told.state, told.value("loss"), told.final_measurement.step) == (TrialState.SUCCEEDED, 1.0, 3)


def test_every_domain_comes_through(make_search, trials) -> None:
    space = {
        "uniform": tune.uniform(-1.0, 1.0),
        "stepped": tune.quniform(0.0, 1.0, 0.25),
        "loud": tune.qloguniform(0.1, 10.0, 0.1),
        "whole": tune.lograndint(1, 100),
        "even": tune.qrandint(3, 9, 2),
        "batch": tune.choice([16, 32, 64]),
        "thing": tune.choice(["a", None, (1, 2)]),
    }
    search = make_search(space=space)
    for i in range(5):
        config = search.suggest(str(i))
        assert all(domain.is_valid(config[name]) for name, domain in space.items())
        assert (config["stepped"] / 0.25).is_integer()
        assert config["even"] in (4, 6, 8)
        search.on_trial_complete(str(i), {"loss": config["uniform"], "done": True})
    assert [t.state for t in trials()] == [TrialState.SUCCEEDED] * 5
    assert bo_space.RaySpace({"n": tune.randint(1, 5)}).space["n"] == bo_client.IntParameter("n", 1, 4)


def test_failures_are_told_as_such(make_search, trials) -> None:
    search = make_search()
    for trial_id in "abcd":
        search.suggest(trial_id)
    search.on_trial_complete("a", error=True)
    search.on_trial_complete("b", {"loss": float("nan"), "done": True})
    search.on_trial_complete("c", {"other": 1.0, "done": True})
    search.on_trial_complete("d")
    told = trials()
    assert [t.failure.reason.value for t in told] == ["CRASHED", "DIVERGED", "CRASHED", "PREEMPTED"]
    assert told[2].failure.message == "no result had loss"
    blaming = make_search(failure_reason="OUT_OF_MEMORY")
    blaming.suggest("e")
    blaming.on_trial_complete("e", error=True)
    assert trials()[-1].failure.reason is FailureReason.OUT_OF_MEMORY


def test_points_to_evaluate_come_first_and_evaluated_points_are_known(make_search, trials) -> None:
    point = {"lr": 0.01, "model": {"layers": 2, "act": "relu"}}
    search = make_search(points_to_evaluate=[point])
    search.add_evaluated_point({"lr": 0.02, "model": {"layers": 3}}, 0.5)
    assert search.suggest("a") == point
    search.on_trial_complete("a", {"loss": 1.0, "done": True})
    assert sorted(t.value("loss") for t in trials()) == [0.5, 1.0]


def test_the_end_of_the_study_is_the_end_of_the_search(make_search, client, study_id) -> None:
    search = make_search(settings={"max_trials": 1})
    search.suggest("a")
    assert search.suggest("b") is None  # the first may still fail
    search.on_trial_complete("a", {"loss": 1.0, "done": True})
    assert search.suggest("b") == ray_search.Searcher.FINISHED


def test_a_search_that_is_restored_goes_on_with_its_trials(make_search, trials, tmp_path: Path) -> None:
    search = make_search(settings={"lease_duration": 2})
    search.suggest("a")
    search.save(str(tmp_path / "state"))
    again = pickle.loads(pickle.dumps(make_search(settings={"lease_duration": 2})))
    again.restore(str(tmp_path / "state"))
    search._runs["a"].release()  # as where its process has ended
    time.sleep(3)
    again.on_trial_complete("a", {"loss": 1.0, "done": True})
    assert [(t.state, t.value("loss")) for t in trials()] == [(TrialState.SUCCEEDED, 1.0)]


def test_several_metrics_make_several_objectives(make_search, client, study_id) -> None:
    search = make_search(metric=["loss", "accuracy"], mode=["min", "max"])
    search.suggest("a")
    search.on_trial_complete("a", {"loss": 1.0, "accuracy": 0.5, "done": True})
    study = client.study(study_id)
    assert [(m.name, m.goal) for m in study.definition.metrics] == [("loss", "minimize"), ("accuracy", "maximize")]
    assert study.best().value("accuracy") == 0.5


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (lambda: {"m": {"x": tune.randn()}}, r"m/x: is a float by normal; give tune's uniform"),
        (lambda: {"x": tune.sample_from(lambda _: 1)}, "x: is a function by"),
        (lambda: {"x": tune.grid_search([1, 2])}, r"x: is a grid_search; give tune\.choice"),
        (lambda: {"x": tune.qloguniform(1e-3, 10.0, 1e-3)}, r"x: has 10000 multiples of 0\.001; .* take a larger step"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(space: Callable[[], Any], message: str) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=message):
        bo_ray.BoSearch(study_id="s", space=space())


def test_what_is_missing_is_named(make_search) -> None:
    with pytest.raises(bo_client.InvalidRequest, match="space: is missing; give it to BoSearch, or param_space"):
        make_search(space=None).suggest("a")
    with pytest.raises(bo_client.InvalidRequest, match="metric: and mode are missing"):
        make_search(metric=None, mode=None).suggest("a")
    with pytest.raises(bo_client.InvalidRequest, match="mode: is missing; give one of min, max and obs for loss"):
        make_search(mode=None).suggest("a")
    several = make_search(metric=["a", "b"], mode=None)
    several.set_search_properties(None, "min", {})
    with pytest.raises(bo_client.InvalidRequest, match="mode: is 'min'; give one of min, max and obs for each of a, b"):
        several.suggest("a")
    bare = make_search(metric=None, mode=None)
    bare.set_search_properties("loss", "minimise", {})
    with pytest.raises(bo_client.InvalidRequest, match="mode: is 'minimise'; give one of min, max and obs for loss"):
        bare.suggest("a")


RUN = """
import sys
from ray import tune
from bo_client.integrations.ray_space import RaySpace  # noqa: E402
from bo_client.integrations.ray_tune import BoSearch
from ray.tune.search import ConcurrencyLimiter

def train(config):
    for step in range(3):
        tune.report({"loss": (config["x"] - 0.3) ** 2 + 1 / (step + 1)})
    if config["x"] == 0.95:
        raise RuntimeError("broken")

import ray
ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", address="local")
search = BoSearch(sys.argv[1], study_id=sys.argv[2], points_to_evaluate=[{"x": 0.95}])
tuner = tune.Tuner(
    tune.with_resources(train, {"cpu": 1}),
    param_space={"x": tune.uniform(0.0, 1.0)},
    tune_config=tune.TuneConfig(
        metric="loss", mode="min", num_samples=5, search_alg=ConcurrencyLimiter(search, max_concurrent=2)
    ),
    run_config=tune.RunConfig(storage_path=sys.argv[3], verbose=0),
)
print("best", tuner.fit().get_best_result().config["x"])
"""


@pytest.mark.slow
def test_ray_tune_runs_with_it(address: str, study_id: str, trials, tmp_path: Path) -> None:
    import os

    home = {"HOME": str(tmp_path), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, address, study_id, str(tmp_path / "results")],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        timeout=280,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = trials(full=True)
    ended = [t for t in told if t.state is TrialState.SUCCEEDED]
    assert [t.state for t in told if t.parameters["x"] == 0.95] == [TrialState.FAILED]
    assert len(ended) == 4
    best = min(ended, key=lambda t: t.value("loss"))
    assert f"best {best.parameters['x']}" in done.stdout
    assert [m.step for m in best.measurements] == [1, 2, 3]
