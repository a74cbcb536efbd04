"""Ray's spaces and searches beyond the plain case: nested choices, failures, limits, restores, other schedulers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import bo_client
import numpy as np
import pytest
from bo_client import FailureReason, TrialState

from tests.packages import Deferred

tune = Deferred("ray.tune", "needs the extra ray-tune")
ray_search = Deferred("ray.tune.search")
ray_sample = Deferred("ray.tune.search.sample")
bo_ray = Deferred("bo_client.integrations.ray_tune")
bo_space = Deferred("bo_client.integrations.ray_space")
pytestmark = pytest.mark.xdist_group("ray")  # which is loaded once

QUICK = {"algorithm": "quasi_random", "seed": 0}


def line() -> dict[str, Any]:
    return {"x": tune.uniform(0.0, 1.0)}


@pytest.fixture
def make_search(address: str, study_id: str) -> Callable[..., Any]:
    def make(**options: Any) -> Any:
        given = {"space": line(), "metric": "loss", "mode": "min", "settings": QUICK, **options}
        return bo_ray.BoSearch(address, study_id=study_id, **given)

    return make


@pytest.fixture
def trials(client: bo_client.Client, study_id: str) -> Callable[..., list[bo_client.Trial]]:
    return lambda full=False: list(client.study(study_id).trials(full=full))


def holds_a_domain(config: Any) -> bool:
    if isinstance(config, dict):
        return any(map(holds_a_domain, config.values()))
    if isinstance(config, list | tuple):
        return any(map(holds_a_domain, config))
    return isinstance(config, ray_sample.Domain)


def run(search: Any, count: int) -> list[Any]:
    configs = []
    for i in range(count):
        configs.append(search.suggest(str(i)))
        search.on_trial_complete(str(i), {"loss": float(i), "done": True})
    return configs


def test_a_choice_of_dictionaries_with_domains_is_a_condition(make_search, trials) -> None:
    configs = run(make_search(space={"m": tune.choice([{"C": tune.uniform(0, 1)}, {"d": 1}])}), 8)
    assert not any(map(holds_a_domain, configs))
    assert {tuple(config["m"]) for config in configs} == {("C",), ("d",)}
    assert all(0 <= config["m"]["C"] <= 1 if "C" in config["m"] else config["m"] == {"d": 1} for config in configs)
    for trial, config in zip(trials(), configs, strict=True):
        assert trial.parameters.get("m/0/C") == config["m"].get("C")


def deep() -> dict[str, Any]:
    return {
        "layers": [tune.randint(1, 4), {"units": tune.choice([8, 16])}, "last"],
        "pair": (tune.uniform(0, 1), 2),
        "optimizer": tune.choice(
            [
                {"name": "sgd", "momentum": tune.uniform(0, 0.9), "nesterov": tune.choice([True, False])},
                {
                    "name": "adam",
                    "betas": [0.9, tune.loguniform(0.9, 0.999)],
                    "amsgrad": tune.choice([{"on": True}, None]),
                },
                tune.loguniform(1e-4, 1e-1),
                "none",
            ]
        ),
        "nested": {"a": {"b": tune.choice(["x", {"deep": tune.choice([{"er": tune.randint(0, 5)}, 7])}])}},
    }


def test_domains_are_found_at_any_depth(make_search, trials) -> None:
    configs = run(make_search(space=deep()), 24)
    assert not any(map(holds_a_domain, configs))
    for config in configs:
        assert type(config["layers"]) is list
        assert config["layers"][0] in (1, 2, 3)
        assert config["layers"][1]["units"] in (8, 16)
        assert config["layers"][2] == "last"
        assert type(config["pair"]) is tuple
        assert config["pair"][1] == 2
    kinds = {c["optimizer"]["name"] if isinstance(c["optimizer"], dict) else type(c["optimizer"]) for c in configs}
    assert kinds == {"sgd", "adam", float, str}
    deepest = [c["nested"]["a"]["b"]["deep"]["er"] for c in configs if "er" in str(c["nested"])]
    assert set(deepest) <= {0, 1, 2, 3, 4}
    assert deepest
    assert [t.state for t in trials()] == [TrialState.SUCCEEDED] * 24


def test_configs_there_and_back_are_the_same(make_search) -> None:
    space, search = bo_space.RaySpace(deep()), make_search(space=deep())
    for i, config in enumerate(run(search, 12)):
        assert space.from_service(space.to_service(config)) == config, i


def test_points_and_evaluated_results_may_be_of_nested_choices(make_search, trials) -> None:
    space = {"m": tune.choice([{"C": tune.uniform(0, 1)}, {"d": 1}])}
    search = make_search(space=space, points_to_evaluate=[{"m": {"C": 0.25}}, {"m": {"d": 1}}])
    search.add_evaluated_point({"m": {"C": 0.5}}, 3.0)
    assert [search.suggest("a"), search.suggest("b")] == [{"m": {"C": 0.25}}, {"m": {"d": 1}}]
    assert [t.parameters.get("m/0/C") for t in trials()] == [0.25, None, 0.5]


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (lambda: {"a": [1, {"b": tune.grid_search([1, 2])}]}, r"a/1/b: is a grid_search; give tune\.choice"),
        (lambda: {"a": tune.choice([{"b": tune.grid_search([1])}, 2])}, r"a/0/b: is a grid_search"),
        (lambda: {"a": tune.choice([{"b": tune.randn()}, 2])}, "a/0/b: is a float by normal; give tune's uniform"),
        (lambda: {"a": [tune.sample_from(lambda _: 1)]}, "a/0: is a function by"),
        (lambda: {"a": (tune.qrandn(0, 1, 0.1),)}, "a/0: is a float by normal"),
        (lambda: {"a": {"eval": "1 + 1"}}, "a: is a eval; give tune's uniform"),
        (lambda: {"a/b": tune.uniform(0, 1)}, "a/b: has '/' in its name"),
        (lambda: {"a": [{"b/c": tune.uniform(0, 1)}]}, "a/0/b/c: has '/' in its name"),
        (lambda: {"a": tune.choice([])}, r"a\.values: has 0"),
        (lambda: {"a": tune.uniform(1, 1)}, r"a\.low: is 1\.0"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_its_path(space: Callable[[], Any], message: str) -> None:
    with pytest.raises(bo_client.InvalidRequest, match=message):
        bo_ray.BoSearch(study_id="s", space=space())


def nested() -> dict[str, Any]:
    return {"x": tune.uniform(0.0, 1.0), "net": {"units": tune.randint(1, 9), "act": "relu"}}


LACKING = [
    (nested, {"x": 0.5, "net": {"units": 2}, "typo": 1}, "typo"),
    (nested, {"x": 0.5, "net": {"units": 2, "typo": 1}}, "net/typo"),
    (lambda: {"l": [nested(), 3]}, {"l": [{"x": 0.5, "net": {"units": 2, "typo": 1}}, 3]}, "l/0/net/typo"),
    (lambda: {"m": tune.choice([nested(), 1])}, {"m": {"x": 0.5, "net": {"units": 2, "typo": 1}}}, "m/0/net/typo"),
    (
        lambda: bo_client.SearchSpace([bo_client.FloatParameter("a/x", 0.0, 1.0)]),
        {"a": {"x": 0.5, "typo": 1}},
        "a/typo",
    ),
]


@pytest.mark.parametrize(("space", "point", "path"), LACKING)
def test_a_point_with_a_name_that_the_space_lacks_is_refused(make_search, trials, space, point, path: str) -> None:
    search = make_search(space=space(), points_to_evaluate=[point])
    with pytest.raises(bo_client.InvalidRequest, match=rf"points_to_evaluate: \[0\] has {path}, which the space lacks"):
        search.suggest("a")
    search = make_search(space=space())
    with pytest.raises(bo_client.InvalidRequest, match=f"parameters: has {path}, which the space lacks"):
        search.add_evaluated_point(point, 1.0)
    assert trials() == []


@pytest.mark.parametrize(
    "value", [np.float32(0.5), np.float64(0.5), np.array(0.5), np.int64(1), Decimal("0.5"), True, 1]
)
def test_numbers_of_other_libraries_are_numbers(make_search, trials, value: Any) -> None:
    search = make_search()
    search.suggest("a")
    search.on_trial_result("a", {"loss": value, "training_iteration": 1})
    search.on_trial_complete("a", {"loss": value, "training_iteration": 1, "done": True})
    (told,) = trials(full=True)
    assert (told.value("loss"), [m.metrics["loss"] for m in told.measurements]) == (float(value), [float(value)])


def test_nan_and_infinity_diverge_also_on_the_way(make_search, trials) -> None:
    search = make_search()
    for trial_id, value in [("a", float("nan")), ("b", float("-inf"))]:
        search.suggest(trial_id)
        search.on_trial_result(trial_id, {"loss": 1.0, "training_iteration": 1})
        search.on_trial_result(trial_id, {"loss": value, "training_iteration": 2})
        search.on_trial_complete(trial_id, {"loss": value, "training_iteration": 2, "done": True})
    assert [(t.state, t.failure.reason.value) for t in trials()] == [(TrialState.INFEASIBLE, "DIVERGED")] * 2
    assert [[m.step for m in t.measurements] for t in trials(full=True)] == [[1], [1]]


def test_numbers_beyond_the_floats_have_diverged(make_search, trials) -> None:
    search = make_search()
    search.suggest("a")
    search.on_trial_result("a", {"loss": 10**400, "training_iteration": 1})
    search.on_trial_complete("a", {"loss": -(10**400), "training_iteration": 1, "done": True})
    for value in (10**400, float("nan"), Decimal("Infinity")):
        search.add_evaluated_point({"x": 0.5}, value)
    search.add_evaluated_point({"x": 0.5}, Decimal("0.5"))
    *failed, done = trials()
    assert [(t.state, t.failure.reason.value) for t in failed] == [(TrialState.INFEASIBLE, "DIVERGED")] * 4
    assert done.value("loss") == 0.5


@pytest.mark.parametrize("value", ["0.5", None, 1 + 2j, [0.5, 1.0], np.array([1.0, 2.0])])
def test_what_is_no_number_is_no_result(make_search, trials, value: Any) -> None:
    search = make_search()
    search.suggest("a")
    search.on_trial_complete("a", {"loss": value, "done": True})
    (failed,) = trials()
    assert (failed.failure.reason.value, failed.failure.message) == ("CRASHED", "no result had loss")


def test_metrics_of_the_tuner_are_taken_beside_a_space_of_the_search(make_search, trials) -> None:
    search = make_search(metric=None, mode=None)
    assert search.set_search_properties("loss", "max", {"constant": 3}, num_samples=7)
    assert not search.set_search_properties("loss", "max", {"y": tune.uniform(0, 1)})
    run(search, 1)
    assert trials()[0].value("loss") == 0.0
    with pytest.raises(bo_client.InvalidRequest, match=r"metric: is 'loss' \(max\) in BoSearch, and 'loss' \(min\)"):
        search.set_search_properties("loss", "min", {})


def test_a_metric_that_is_only_observed_is_information(make_search, client, study_id) -> None:
    search = make_search(metric=["loss", "size"], mode=["min", "obs"])
    search.suggest("a")
    search.on_trial_complete("a", {"loss": 1.0, "size": 9.0, "done": True})
    found = client.study(study_id)
    assert [(m.name, m.role) for m in found.definition.metrics] == [("loss", "objective"), ("size", "information")]
    assert next(found.trials()).value("size") == 9.0


def test_the_end_names_its_reason_and_how_many_ran(make_search, caplog) -> None:
    search = make_search(space={"x": tune.choice([1, 2])})
    search.set_search_properties(None, None, {}, num_samples=9)
    run(search, 2)
    assert [search.suggest("c"), search.suggest("d")] == [ray_search.Searcher.FINISHED] * 2
    (told,) = [r for r in caplog.records if "ended after" in r.message]
    assert told.levelname == "WARNING"
    assert "ended after 2 of 9 trials (2 succeeded, 0 failed): no configuration" in told.message


def test_the_end_counts_nan_and_infinity_as_failed(make_search, trials, caplog) -> None:
    search = make_search(space={"x": tune.choice([1, 2, 3, 4])}, metric=["loss", "size"], mode=["min", "obs"])
    values = [(1.0, float("nan")), (float("nan"), 1.0), (float("inf"), 1.0), (2.0, float("nan"))]
    for i, (loss, size) in enumerate(values):
        config = search.suggest(str(i))
        search.on_trial_complete(str(i), {"loss": loss, "size": size, "config": config, "done": True})
    assert search.suggest("e") == ray_search.Searcher.FINISHED
    assert [t.failure and t.failure.reason.value for t in trials()] == [None, "DIVERGED", "DIVERGED", None]
    (told,) = [r.message for r in caplog.records if "ended after" in r.message]
    assert "ended after 4 trials (2 succeeded, 2 failed)" in told


def test_information_that_is_nan_leaves_a_changed_configuration_its_result(make_search, trials) -> None:
    search = make_search(metric=["loss", "size"], mode=["min", "obs"])
    for loss, size in [(float("nan"), 1.0), (1.0, float("nan"))]:
        search.suggest("a")
        search.on_trial_complete("a", {"loss": loss, "size": size, "config": {"x": 0.125}, "done": True})
    assert [t.failure and t.failure.reason.value for t in trials()] == ["DIVERGED", None]


def test_a_search_waits_for_trials_of_others(make_search, client, study_id) -> None:
    first, second = (make_search(space={"x": tune.choice([1])}) for _ in range(2))
    assert first.suggest("a") == {"x": 1}
    assert second.suggest("b") is None
    first.on_trial_complete("a", {"loss": 1.0, "done": True})
    assert second.suggest("b") == ray_search.Searcher.FINISHED


def test_a_bare_search_goes_on_where_another_was_saved(make_search, address, study_id, trials, tmp_path) -> None:
    search = make_search(space={"m": tune.choice([{"C": tune.uniform(0, 1)}, {"d": print}])})
    search.suggest("a")
    search.save(str(tmp_path / "state"))
    for held in search._runs.values():
        held.release()
    bare = bo_ray.BoSearch(address, study_id=study_id, settings=QUICK)
    bare.restore(str(tmp_path / "state"))
    bare.on_trial_complete("a", {"loss": 0.5, "done": True})
    assert not holds_a_domain(bare.suggest("b"))
    bare.on_trial_complete("b", {"loss": 0.25, "done": True})
    assert [t.value("loss") for t in trials()] == [0.5, 0.25]


def test_a_checkpoint_of_an_old_release_completes_its_trials(make_search, address, study_id, trials, tmp_path) -> None:
    search = make_search()
    search.suggest("a")
    (held,) = search._runs.values()
    held.release()
    (tmp_path / "state").write_text(
        json.dumps({"study": study_id, "runs": {"a": [held.trial.number, held.trial.lease_token]}})
    )
    bare = bo_ray.BoSearch(address, study_id=study_id, settings=QUICK)
    bare.restore(str(tmp_path / "state"))
    bare.on_trial_complete("a", {"loss": 0.5, "done": True})
    assert [t.value("loss") for t in trials()] == [0.5]
    assert bare.set_search_properties("loss", "min", line())
    assert 0 <= bare.suggest("b")["x"] <= 1
    with pytest.raises(bo_client.InvalidRequest, match="param_space: is another than that of studies/"):
        bare.set_search_properties("loss", "min", {"y": tune.uniform(0, 1)})


def test_a_result_that_comes_after_the_lease_is_not_lost(make_search, client, study_id, trials, tmp_path) -> None:
    search = make_search()
    config = search.suggest("a")
    (held,) = search._runs.values()
    held.trial.fail(FailureReason.TIMEOUT, "as a lease that has run out")
    search.on_trial_complete("a", {"loss": 0.5, "done": True})
    first, late = trials()
    assert (first.state, late.state, late.value("loss")) == (TrialState.FAILED, TrialState.SUCCEEDED, 0.5)
    assert late.parameters["x"] == config["x"]
    assert late.labels["late-result-of"] == first.name


def test_a_configuration_that_a_scheduler_has_changed_is_told_as_it_was_run(make_search, trials) -> None:
    search = make_search()
    config = search.suggest("a")
    search.on_trial_complete("a", {"loss": 0.5, "config": {**config, "other": 1}, "done": True})
    search.suggest("b")
    search.on_trial_complete("b", {"loss": 0.25, "config": {"x": 0.125}, "done": True})
    assert [(t.parameters["x"], t.value("loss")) for t in trials()] == [(config["x"], 0.5), (0.125, 0.25)]


def test_wrappers_of_rays_work(make_search, trials) -> None:
    limited = ray_search.ConcurrencyLimiter(make_search(), max_concurrent=2)
    assert limited.suggest("a") is not None
    assert limited.suggest("b") is not None
    assert limited.suggest("c") is None
    limited.on_trial_complete("a", {"loss": 1.0, "done": True})
    limited.on_trial_complete("b", error=True)
    assert limited.suggest("c") is not None
    limited.on_trial_complete("c", {"loss": 1.0, "done": True})
    assert [t.state for t in trials()] == [TrialState.SUCCEEDED, TrialState.FAILED, TrialState.SUCCEEDED]
    generator = ray_search.SearchGenerator(make_search(metric=None, mode=None, space=None))
    assert generator.set_search_properties("loss", "min", line(), num_samples=2)
    repeated = ray_search.Repeater(make_search(), repeat=2)
    first, second = repeated.suggest("d"), repeated.suggest("e")
    assert {k: v for k, v in first.items() if k == "x"} == {k: v for k, v in second.items() if k == "x"}


PROGRAM = """
import sys, os, pathlib
import ray
from ray import tune
from bo_client.integrations.ray_tune import BoSearch

def train(config):
    kind = config["kind"]
    if kind == "memory":
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
    if kind == "error":
        raise RuntimeError("broken")
    if kind == "nan":
        tune.report({"loss": float("nan")})
        return
    assert isinstance(config["m"].get("C", 1.0), float) and isinstance(config["l"][0], int), config
    tune.report({"loss": config["m"].get("C", 0.5)})

space = {
    "kind": tune.choice(["fine", "memory", "error", "nan"]),
    "m": tune.choice([{"C": tune.uniform(0, 1)}, {"d": 1}]),
    "l": [tune.randint(1, 4)],
}
points = [{"kind": k, "m": {"C": 0.25}, "l": [2]} for k in ("fine", "memory", "error", "nan")]
ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", address="local")
search = BoSearch(sys.argv[1], study_id=sys.argv[2], points_to_evaluate=points)
config = tune.TuneConfig(metric="loss", mode="min", num_samples=5, search_alg=search, max_concurrent_trials=1)
run = tune.RunConfig(storage_path=sys.argv[3], name="run", verbose=0)
tuner = tune.Tuner(tune.with_resources(train, {"cpu": 1}), param_space=space, tune_config=config, run_config=run)
print("best", tuner.fit().get_best_result().metrics["loss"])
"""


RESTORE = """
import os, pathlib, signal, sys
import ray
from ray import tune
from bo_client.integrations.ray_tune import BoSearch

driver, marker = os.getpid(), pathlib.Path(sys.argv[4])

def train(config):
    if config["x"] == 0.75 and not marker.exists():
        marker.touch()
        os.kill(driver, signal.SIGINT)
        signal.pause()
    tune.report({"loss": config["x"]})

ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR", address="local")
search = BoSearch(sys.argv[1], study_id=sys.argv[2], points_to_evaluate=[{"x": 0.25}, {"x": 0.75}])
config = tune.TuneConfig(metric="loss", mode="min", num_samples=4, search_alg=search, max_concurrent_trials=1)
run = tune.RunConfig(storage_path=sys.argv[3], name="run", verbose=0)
space = {"x": tune.uniform(0.0, 1.0)}
tune.Tuner(train, param_space=space, tune_config=config, run_config=run).fit()
assert marker.exists()
found = tune.Tuner.restore(sys.argv[3] + "/run", train, param_space=space, resume_unfinished=True).fit()
print("trials", len(found), sorted(result.metrics["loss"] for result in found)[0])
"""


def program(text: str, folder: Path, *arguments: str) -> str:
    """Runs it in a process of its own; returns its output."""
    home = {"HOME": str(folder), "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", text, *arguments],
        env={**os.environ, **home},
        capture_output=True,
        text=True,
        timeout=280,
        cwd=folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_failures_in_a_run_of_ray_are_told_by_their_reason(address: str, study_id: str, trials, tmp_path: Path) -> None:
    program(PROGRAM, tmp_path, address, study_id, str(tmp_path / "results"))
    told = {t.parameters["kind"]: t for t in trials()[:4]}
    assert {kind: t.failure and t.failure.reason.value for kind, t in told.items()} == {
        "fine": None,
        "memory": "OUT_OF_MEMORY",
        "error": "CRASHED",
        "nan": "DIVERGED",
    }
    assert told["error"].failure.message == "RuntimeError: broken"
    assert len(trials()) == 5


@pytest.mark.slow
def test_a_run_of_ray_that_was_interrupted_is_restored(address: str, study_id: str, trials, tmp_path: Path) -> None:
    output = program(RESTORE, tmp_path, address, study_id, str(tmp_path / "results"), str(tmp_path / "marker"))
    assert "trials 4" in output
    ended = [t for t in trials() if t.state is TrialState.SUCCEEDED]
    assert len(ended) == 4
    assert {0.25, 0.75} <= {t.value("loss") for t in ended}
