"""Katib's port: where it may listen, what it admits, and what it leaves to others."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import bo_client
import grpc
import pytest
import yaml
from google.protobuf import json_format
from katib_api.v1beta1 import api_pb2 as pb
from katib_api.v1beta1 import api_pb2_grpc as rpc

from bo_service.cli.serve import serve
from bo_service.config import KATIB_DB_MANAGER, Config
from bo_service.domain.errors import PermissionDenied, StartupError
from bo_service.katib.server import KATIB, RULES
from tests.e2e.conftest import ServerProcess, making_servers
from tests.katib.controller import PATIENCE_S, Controller, Service, experiment, values_of

DEPLOY = Path(__file__).parents[2] / "deploy" / "katib"
HERE = ("sqlite:///bo.db", "127.0.0.1:0")
VERSION = "1.37"


def test_other_machines_reach_the_port_only_where_that_is_allowed_by_its_own_option() -> None:
    assert Config(*HERE).katib is None
    assert Config(*HERE, katib="127.0.0.1:6789").katib_address is not None
    for others in ({}, {"insecure": True}, {"metrics_insecure": True}):
        with pytest.raises(StartupError, match=r"--katib: other machines can reach 0\.0\.0\.0.*--katib-insecure"):
            Config(*HERE, katib="0.0.0.0:6789", **others)
    assert Config(*HERE, katib="0.0.0.0:6789", katib_insecure=True).katib_address is not None
    with pytest.raises(StartupError, match=r"--katib: is '6789'; give HOST:PORT, such as 127\.0\.0\.1:6789"):
        Config(*HERE, katib="6789")
    with pytest.raises(StartupError, match="--katib-db-manager: is 'katib'; give HOST:PORT"):
        Config(*HERE, katib_db_manager="katib")
    with pytest.raises(StartupError, match="--katib-namespace: is 'Team/1'"):
        Config(*HERE, katib_namespace="Team/1")


def test_a_caller_reaches_no_study_but_katibs() -> None:
    KATIB.require_study("katib-team-quadratic-0123456789ab")
    with pytest.raises(PermissionDenied):
        KATIB.require_study("mine")


def test_every_method_has_a_rule_and_the_port_has_no_others(service: Service) -> None:
    services = [pb.DESCRIPTOR.services_by_name[name] for name in ("Suggestion", "EarlyStopping")]
    methods = {f"/{s.full_name}/{m.name}" for s in services for m in s.methods}
    assert {name for name in RULES if "Health" not in name} == methods
    others = ("/api.v1.beta1.DBManager/GetObservationLog",)  # which is Katib's own
    with grpc.insecure_channel(service.address) as channel:
        for method in (*others, "/bo_api.v1.OptimizationService/ListStudies", "/bo_api.v1.TokenService/CreateToken"):
            with pytest.raises(grpc.RpcError) as error:
                channel.unary_unary(method)(b"", timeout=PATIENCE_S)
            assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture(scope="module")
def make_server(tmp_path_factory: pytest.TempPathFactory):
    with making_servers(tmp_path_factory.mktemp("katib")) as make:
        yield make


def katib_address(server: ServerProcess) -> str:
    found = re.findall(r"Katib's suggestion service at (\S+)", server.log)
    return str(found[-1])


@pytest.mark.slow
def test_a_real_server_that_is_killed_gives_a_lost_answer_again(make_server: Callable[..., ServerProcess]) -> None:
    server = make_server("--katib", "127.0.0.1:0", "--katib-namespace", "team", "--processes", "1")
    address = server.start()
    controller = Controller(katib_address(server), experiment("killed"))
    for trial in controller.create(controller.ask(2)):
        controller.evaluate(trial)
    lost = controller.ask(2)
    server.kill()
    server.start()
    controller.address = katib_address(server)
    running = controller.create(controller.ask(2))
    assert controller.received == 4
    assert [values_of(t.spec.parameter_assignments.assignments) for t in running] == lost
    with bo_client.connect(address) as client:
        (study,) = client.studies()
        assert study.name.startswith("studies/katib-team-killed-")
    server.stop()


def test_the_example_experiment_is_served(service: Service) -> None:
    document = yaml.safe_load((DEPLOY / "experiment.yaml").read_text())
    given = document["spec"]
    kinds = {"logUniform": "LOG_UNIFORM"}
    for parameter in given["parameters"]:
        parameter["parameterType"] = parameter["parameterType"].upper()
        space = parameter["feasibleSpace"]
        space |= {"distribution": kinds[space["distribution"]]} if "distribution" in space else {}
    objective = {**given["objective"], "type": given["objective"]["type"].upper()}
    names = ("algorithm", "parallelTrialCount", "maxTrialCount")
    spec = {"parameterSpecs": {"parameters": given["parameters"]}, "objective": objective}
    spec |= {name: given[name] for name in names}
    controller = Controller(service.address, json_format.ParseDict({"name": "example", "spec": spec}, pb.Experiment()))
    request = pb.ValidateAlgorithmSettingsRequest(experiment=controller.experiment)
    with grpc.insecure_channel(service.address) as channel:
        rpc.SuggestionStub(channel).ValidateAlgorithmSettings(request, timeout=PATIENCE_S)
    (values,) = controller.ask(1)
    assert values.keys() == {reference["reference"] for reference in given["trialTemplate"]["trialParameters"]}
    assert int(values["units"]) % 16 == 0


def suggestion() -> dict:
    (found,) = yaml.safe_load((DEPLOY / "katib-config.yaml").read_text())["runtime"]["suggestions"]
    return found


def test_the_config_starts_a_server_that_its_own_options_allow() -> None:
    command, *arguments = [argument.replace("$(NAMESPACE)", "team") for argument in suggestion()["args"]]
    assert command == "serve"
    given = serve.make_context("serve", [*arguments, "--storage=sqlite:////data/bo.db"]).params
    assert (given["katib"], given["katib_insecure"], given["katib_namespace"]) == ("0.0.0.0:6789", True, "team")
    assert given["listen"].startswith("127.0.0.1:")
    experiment_file = yaml.safe_load((DEPLOY / "experiment.yaml").read_text())
    assert experiment_file["spec"]["algorithm"]["algorithmName"] == suggestion()["algorithmName"]


def test_the_image_of_early_stopping_starts_a_server_beside_that_of_suggestions() -> None:
    """They share the pod's addresses, and Katib gives it no arguments."""
    last = (DEPLOY.parent / "container" / "Dockerfile").read_text().rpartition("AS katib-early-stopping")[2]
    command, *arguments = json.loads(last.rpartition("CMD ")[2])
    given = serve.make_context(command, [*arguments, "--storage=sqlite:////data/bo.db"]).params
    assert (given["katib"], given["katib_insecure"], given["listen"]) == ("0.0.0.0:6788", True, "127.0.0.1:0")
    assert given["katib_db_manager"] == KATIB_DB_MANAGER
    (entry,) = yaml.safe_load((DEPLOY / "katib-config.yaml").read_text())["runtime"]["earlyStoppings"]
    assert entry.keys() == {"algorithmName", "image", "resources"}  # Katib reads no other but imagePullPolicy


@pytest.mark.xdist_group("kubernetes")
def test_kubernetes_knows_every_field_of_the_container_the_job_and_the_policy() -> None:
    """Katib's own kinds have no schema there."""
    kubernetes = pytest.importorskip("kubernetes_validate", reason="needs the extra deploy")
    container = {"name": "suggestion", **{k: v for k, v in suggestion().items() if k != "algorithmName"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
    job = yaml.safe_load((DEPLOY / "experiment.yaml").read_text())["spec"]["trialTemplate"]["trialSpec"]
    policy = yaml.safe_load((DEPLOY / "network.yaml").read_text())
    for document in (pod, {**job, "metadata": {"name": "j"}}, policy):
        kubernetes.validate(document, VERSION, strict=True)
