"""Which experiments are accepted, in which texts their values are answered, and what is said to the others."""

import math
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from katib_api.v1beta1 import api_pb2 as pb
from katib_api.v1beta1 import api_pb2_grpc as rpc

from bo_service.application.studies import list_studies
from tests.katib.controller import PATIENCE_S, QUADRATIC, Controller, Service, experiment


def parameter(kind: str, **space: Any) -> dict[str, Any]:
    return {"parameterSpecs": {"parameters": [{"name": "p", "parameterType": kind, "feasibleSpace": space}]}}


def settings(**values: str) -> dict[str, Any]:
    return {"algorithm": {"algorithmSettings": [{"name": name, "value": value} for name, value in values.items()]}}


def refusal(service: Service, given: pb.Experiment) -> str:
    """What ValidateAlgorithmSettings says; empty for an experiment that is accepted."""
    request = pb.ValidateAlgorithmSettingsRequest(experiment=given)
    with grpc.insecure_channel(service.address) as channel:
        call = rpc.SuggestionStub(channel).ValidateAlgorithmSettings.future(request, timeout=PATIENCE_S)
        code = call.code()
        assert code in (grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT)  # no other status ends an experiment
        return "" if code is grpc.StatusCode.OK else str(call.details())


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        (parameter("DOUBLE", min="0.1", max="0.5", step="0.1"), ["0.1", "0.2", "0.3", "0.4", "0.5"]),
        (parameter("DOUBLE", min="1", max="11", step="2.5"), ["1.0", "3.5", "6.0", "8.5", "11.0"]),
        (parameter("DOUBLE", min="1e-3", max="1e-3"), ["0.001"]),
        (parameter("DOUBLE", min="1", max="11", step="2.5", distribution="LOG_UNIFORM"), 5),
        (parameter("INT", min="1", max="3"), ["1", "2", "3"]),
        (parameter("INT", min="1", max="3", step="1", distribution="UNIFORM"), ["1", "2", "3"]),
        (parameter("INT", min="-4", max="5", step="4"), ["-4", "0", "4"]),
        (parameter("INT", min="1", max="5", distribution="LOG_UNIFORM"), ["1", "2", "3", "4", "5"]),
        (parameter("INT", min="1", max="5", step="2", distribution="LOG_UNIFORM"), ["1", "3", "5"]),
        (parameter("DISCRETE", list=["3", "2.50", "1e-1"]), ["1e-1", "2.50", "3"]),
        (parameter("DISCRETE", list=["1", "10", "100"], distribution="LOG_UNIFORM"), ["1", "10", "100"]),
        (parameter("CATEGORICAL", list=["adam", "sgd", "3"]), ["3", "adam", "sgd"]),
        (parameter("CATEGORICAL", list=["true", "false"]), ["false", "true"]),
    ],
    ids=str,
)
def test_every_value_is_answered_as_katib_wrote_it(service: Service, spec: Any, texts: list[str] | int) -> None:
    controller = Controller(service.address, experiment("values", **spec, maxTrialCount=1))
    count = texts if isinstance(texts, int) else len(texts)
    assert refusal(service, controller.experiment) == ""
    for trial in controller.create(controller.ask(count)):
        controller.end(trial, loss="1.0")
    answered = [t.spec.parameter_assignments.assignments[0].value for t in controller.trials]
    if not isinstance(texts, int):
        assert sorted(answered) == sorted(texts)
    assert len(set(answered)) == count
    assert controller.ask(0) == []  # and every text is read again


def test_a_log_uniform_number_is_between_its_bounds_and_keeps_all_digits(service: Service) -> None:
    spec = parameter("DOUBLE", min="0.00001", max="0.1", distribution="LOG_UNIFORM")
    controller = Controller(service.address, experiment("log", **spec))
    numbers = [float(values["p"]) for values in controller.ask(40)]
    assert all(1e-5 <= number <= 0.1 for number in numbers)
    assert sum(math.log10(number) < -3 for number in numbers) > 10


NORMAL = "is NORMAL; uniform and logUniform are supported"
DOUBLE = {"min": "0", "max": "1"}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (parameter("DOUBLE", **DOUBLE, distribution="NORMAL"), f"parameters[0].feasible_space.distribution: {NORMAL}"),
        (parameter("INT", min="1", max="9", distribution="LOG_NORMAL"), "distribution: is LOG_NORMAL"),
        (parameter("DOUBLE", **DOUBLE, distribution=9), "distribution: is unknown"),
        (parameter("DOUBLE", **DOUBLE, distribution="LOG_UNIFORM"), "min: is 0; logUniform needs min above 0"),
        (parameter("DOUBLE", min="1", max="0"), "min: is 1, above max = 0; swap them"),
        (parameter("DOUBLE", min="", max="1"), "min: is ''; give a finite number"),
        (parameter("DOUBLE", min="0", max="inf"), "max: is 'inf'; give a finite number"),
        (parameter("DOUBLE", min="0", max="1e999999999"), "give a finite number"),
        (parameter("DOUBLE", min="0", max="1" * 100), "give a finite number"),
        (parameter("DOUBLE", **DOUBLE, step="0"), "step: is 0; it must be above 0"),
        (parameter("DOUBLE", **DOUBLE, step="1e-9"), "which gives more than 1,000 values"),
        (parameter("INT", min="1.5", max="2"), "min: is '1.5'; give a whole number"),
        (parameter("INT", min="1", max="1e300"), "give a whole number from"),
        (parameter("DISCRETE", list=["1", "many"]), "list[1]: is 'many'; give a finite number"),
        (parameter("DISCRETE", list=["1", "1.0"]), "each may occur once"),
        (parameter("DISCRETE", list=[]), "give 1 to 1000 values"),
        (parameter("CATEGORICAL", list=["a", "a"]), "each may occur once"),
        (parameter("CATEGORICAL", list=["x" * 300]), "feasible_space.list[0]: has 300 characters"),
        (parameter("CATEGORICAL", list=["a\0"]), "NUL"),
        (parameter("UNKNOWN_TYPE"), "give double, int, discrete or categorical"),
        ({"parameterSpecs": {}}, "a space has 1 to 256 parameters"),
        ({"objective": {"objectiveMetricName": "loss"}}, "objective.type: is not given; give minimize or maximize"),
        ({"objective": {"type": "MINIMIZE"}}, "needs the form of a parameter's name"),
        ({"nasConfig": {}}, "this service searches hyperparameters alone"),
        (
            settings(gamma="3"),
            "holds 'gamma'; the settings are acquisition, algorithm, beta, custom_algorithm, grid_points",
        ),
        (settings(warm_start_studies="studies/other"), "holds 'warm_start_studies'"),
        (settings(algorithm="tpe"), "is 'tpe'; give one of custom, gaussian_process, grid, quasi_random, random"),
        (settings(random_state="9" * 30), f"random_state: is '{'9' * 30}'; give a whole number"),
        (settings(seed="1.5"), "seed: is '1.5'; give a whole number"),
        (settings(per_cost="maybe"), "per_cost: is 'maybe'; give true or false"),
        (settings(beta="-2"), "algorithm_settings.beta: is -2.0; it must be above 0"),
        (settings(algorithm="custom", custom_algorithm="no_such"), "no_such"),
        ({**parameter("INT", min="1", max="3"), "maxTrialCount": 4}, "the search space has 3 configurations"),
        ({"parallelTrialCount": 101}, "at most 100 configurations"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_cannot_be_served_is_refused_before_the_experiment_begins(service: Service, spec: Any, said: str) -> None:
    assert said in refusal(service, experiment("refused", **spec))


@pytest.mark.parametrize(
    "spec",
    [
        settings(algorithm="gaussian_process", acquisition="log_nei", initial_trials="5", seed="3"),
        settings(acquisition="ucb", beta="1.5", per_cost="True"),
        settings(algorithm="GRID", grid_points="4"),
        settings(xi="0.1", random_state="42"),
        {"algorithm": {}},
    ],
    ids=str,
)
def test_settings_are_the_studys_own(service: Service, spec: Any) -> None:
    assert refusal(service, experiment("settings", **spec)) == ""


def test_a_setting_reaches_the_study(service: Service) -> None:
    spec = settings(algorithm="grid", grid_points="4")
    Controller(service.address, experiment("grid", **spec)).ask(1)
    (view,) = [v for v in list_studies(service.app, "", 1000)[0] if v.study.display_name == "grid"]
    assert (view.study.spec.suggestion.algorithm.value, view.study.spec.suggestion.grid_points) == ("grid", 4)


def test_a_space_without_further_configurations_says_so(service: Service) -> None:
    controller = Controller(service.address, experiment("small", **parameter("INT", min="1", max="3")))
    controller.create(controller.ask(2))
    with pytest.raises(grpc.RpcError, match="only 1 further configurations, and 2 were requested") as error:
        controller.ask(2)
    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert len(controller.ask(1)) == 1


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (pb.GetSuggestionsRequest(), "experiment.name: is ''; give 1 to 200"),
        (pb.GetSuggestionsRequest(experiment=experiment("bad"), current_request_number=-1), "is -1; give 0 to 100"),
        (pb.GetSuggestionsRequest(experiment=experiment("bad"), trials=[pb.Trial()]), "trials[0].name: is ''"),
        (
            pb.GetSuggestionsRequest(experiment=experiment("bad"), trials=[pb.Trial(name="strange")]),
            'trials[0].parameters["x"]: is missing',
        ),
        (
            pb.GetSuggestionsRequest(experiment=experiment("bad"), trials=[pb.Trial(name="same")] * 2),
            "trials: hold a name twice",
        ),
        (pb.GetSuggestionsRequest(experiment=experiment("a\0b")), "experiment.name: is 'a\\x00b'; give 1 to 200"),
    ],
    ids=["no experiment", "fewer than none", "no name", "no parameters", "twice", "NUL"],
)
def test_requests_that_katib_never_sends_are_refused(
    service: Service, request_: pb.GetSuggestionsRequest, said: str
) -> None:
    with grpc.insecure_channel(service.address) as channel, pytest.raises(grpc.RpcError) as error:
        rpc.SuggestionStub(channel).GetSuggestions(request_, timeout=PATIENCE_S)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert said in str(error.value.details())


@pytest.mark.parametrize("name", ["manager.v1beta1.Suggestion", "", "api.v1.beta1.Suggestion"])
def test_katibs_probes_find_the_service_healthy(service: Service, name: str) -> None:
    with grpc.insecure_channel(service.address) as channel:
        request = health_pb2.HealthCheckRequest(service=name)
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=PATIENCE_S)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_experiments_of_these_tests_are_valid(service: Service) -> None:
    assert refusal(service, experiment(**QUADRATIC["spec"])) == ""
