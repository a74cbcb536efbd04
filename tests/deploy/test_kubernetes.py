"""The chart and the plain manifests, as Helm and Kubernetes' own schemas judge them."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

helm = pytest.importorskip("helm_python", reason="needs the extra deploy")
kubernetes = pytest.importorskip("kubernetes_validate", reason="needs the extra deploy")

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "bo-service"
VERSIONS = ("1.31", "1.37")
CUSTOM = ("ServiceMonitor", "ScaledObject")
"""Kinds that come with operators, whose schemas Kubernetes doesn't have."""

WORKERS = {"worker": {"enabled": True, "study": "vision"}}
TLS = {"server": {"tls": {"existingSecret": "tls", "serverName": "bo.example"}}}
OPEN = {"worker": {**WORKERS["worker"], "plaintextToken": True}}
SCALED = {
    "server": {**TLS["server"], "metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "p"}}}},
    "worker": {**WORKERS["worker"], "kind": "Deployment", "autoscaling": {"enabled": True}},
}
FULL = {
    "imagePullSecrets": [{"name": "registry"}],
    "server": {
        "tls": {"existingSecret": "tls", "requireClientCertificates": True},
        "env": [{"name": "OTEL_SERVICE_NAME", "value": "bo"}],
        "nodeSelector": {"pool": "cpu"},
        "tolerations": [{"operator": "Exists"}],
        "service": {"clusterIP": "None", "annotations": {"a": "b"}},
    },
    "networkPolicy": {"from": [{"podSelector": {}}], "extraEgress": [{"ports": [{"port": 4317}]}]},
    "worker": {
        **WORKERS["worker"],
        "options": {"data": "/data", "epochs": 3},
        "extraArgs": ["--max-trials", "20"],
        "priorityClassName": "low",
        "env": [{"name": "TF_CPP_MIN_LOG_LEVEL", "value": "2"}],
        "checkpoints": {"existingClaim": "shared"},
        "nodeSelector": {"pool": "gpu"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
    },
}
CASES = {"servers": {}, "workers": TLS | WORKERS, "a mesh": OPEN, "scaled": SCALED, "everything": FULL}


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    with helm.Chart.load(CHART) as chart:
        texts = chart.render(values, name="bo", namespace="bo")
    return [
        document
        for name, text in texts.items()
        if name.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]


def checked(values: dict[str, Any]) -> None:
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values)
    rendered(values)


def one(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name]
    return found


def container(document: dict[str, Any]) -> dict[str, Any]:
    (found,) = document["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_helm_finds_nothing_to_say(values: dict[str, Any]) -> None:
    report = helm.lint(CHART, values, strict=True, kube_version="v1.31.0")
    told = [m["error"] for m in report["messages"] if "icon is recommended" not in m["error"]]
    assert (told, report["errors"]) == ([], [])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_kubernetes_knows_every_field(values: dict[str, Any], version: str) -> None:
    documents = rendered(values)
    assert {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"} <= {d["kind"] for d in documents}
    for document in documents:
        if document["kind"] not in CUSTOM:
            kubernetes.validate(document, version, strict=True)


def test_the_schemas_would_find_a_field_that_is_not_there() -> None:
    server = one(rendered({}), "Deployment", "bo")
    container(server)["readinesProbe"] = container(server).pop("readinessProbe")
    with pytest.raises(kubernetes.ValidationError, match="readinesProbe"):
        kubernetes.validate(server, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_no_pod_is_root_or_can_write_where_it_need_not(values: dict[str, Any]) -> None:
    pods = [d["spec"]["template"]["spec"] for d in rendered(values) if "template" in d["spec"]]
    assert pods
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["automountServiceAccountToken"] is False
        for each in [*pod["containers"], *pod.get("initContainers", [])]:
            assert each["securityContext"]["readOnlyRootFilesystem"]
            assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert each["securityContext"]["allowPrivilegeEscalation"] is False


def test_probes_ask_what_the_server_answers_and_the_pod_outlives_its_drain() -> None:
    from bo_service.adapters.grpc.server import LIVENESS, READINESS

    server = one(rendered({"server": {"drainSeconds": 20, "graceSeconds": 30}}), "Deployment", "bo")
    assert container(server)["readinessProbe"]["grpc"] == {"port": 50051, "service": READINESS}
    assert container(server)["livenessProbe"]["grpc"] == {"port": 50051, "service": LIVENESS}
    assert server["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 20 + 30
    assert {"--drain-seconds=20", "--grace-seconds=30"} <= set(container(server)["args"])


def test_with_tls_the_probes_run_in_the_container_since_kubernetes_own_speak_none() -> None:
    from bo_service.cli import main

    server = container(one(rendered(TLS), "Deployment", "bo"))
    program, command, *arguments = server["readinessProbe"]["exec"]["command"]
    known = {option for parameter in main.commands[command].params for option in parameter.opts}
    assert program == "bo-service"
    assert {argument.partition("=")[0] for argument in arguments} <= known
    assert "--insecure" not in server["args"]


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_the_commands_take_the_arguments_they_are_given(values: dict[str, Any]) -> None:
    from bo_objectives.cli import main as worker

    from bo_service.cli import main as server

    for document in rendered(values):
        if "template" not in document["spec"]:
            continue
        first, *arguments = container(document)["args"]
        program = server if container(document)["name"] == "server" else worker
        context = program.commands[first].make_context(first, [a for a in arguments if "tls-" not in a])
        assert not context.args


def test_a_worker_has_a_gpu_a_token_and_the_shared_folder() -> None:
    job = one(rendered(TLS | WORKERS), "Job", "bo-worker")
    worker, pod = container(job), job["spec"]["template"]["spec"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    environment = {e["name"]: e.get("value") for e in worker["env"]}
    assert environment == {
        "BO_SERVER": "bo:50051",
        "BO_TOKEN_FILE": "/etc/bo-worker/token/token",
        "BO_CA": "/etc/bo-worker/tls/ca.crt",
    }
    mounts = {m["mountPath"]: m["name"] for m in worker["volumeMounts"]}
    volumes = {v["name"]: v for v in pod["volumes"]}
    assert volumes[mounts["/trials"]]["persistentVolumeClaim"] == {"claimName": "bo-checkpoints"}
    assert volumes[mounts["/etc/bo-worker/tls"]]["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]


def test_the_autoscaler_asks_for_a_metric_that_the_server_has() -> None:
    from bo_service.core.trial import TrialState

    (trigger,) = one(rendered(SCALED), "ScaledObject", "bo-worker")["spec"]["triggers"]
    states = {state.value for state in (TrialState.QUEUED, TrialState.RUNNING)}
    assert trigger["metadata"]["query"] == " + ".join(f'max(bo_trials{{state="{s}"}})' for s in sorted(states))
    deployment = one(rendered(SCALED), "Deployment", "bo-worker")
    assert "replicas" not in deployment["spec"]  # or each upgrade would undo what the autoscaler has done


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        ({"sever": {}}, "sever"),
        ({"server": {"replicas": 0}}, "replicas"),
        ({"server": {"auth": "maybe"}}, "auth"),
        ({"database": {"existingSecret": ""}}, "existingSecret"),
        ({"worker": {"terminationGracePeriodSeconds": 5}}, "terminationGracePeriodSeconds"),
        (TLS | {"worker": {"enabled": True}}, "which study"),
        (WORKERS, "unencrypted"),
        (TLS | {"worker": {**WORKERS["worker"], "autoscaling": {"enabled": True}}}, "kind: Deployment"),
    ],
)
def test_values_that_cannot_work_are_refused(values: dict[str, Any], hint: str) -> None:
    with pytest.raises(helm.HelmError, match=hint):
        checked(values)


def test_every_value_has_a_schema_and_none_is_left_over() -> None:
    def names(schema: dict[str, Any]) -> set[str]:
        return {f"{name}.{rest}" for name, part in schema.get("properties", {}).items() for rest in names(part) or {""}}

    def keys(values: dict[str, Any], schema: dict[str, Any]) -> set[str]:
        inner = schema.get("properties", {})
        return {
            f"{k}.{rest}"
            for k, v in values.items()
            for rest in (keys(v, inner[k]) if "properties" in inner[k] else {""})
        }

    with helm.Chart.load(CHART) as chart:
        assert names(chart.schema) - {"global."} == keys(chart.values, chart.schema)


def test_the_plain_manifests_are_what_the_chart_makes() -> None:
    spec = importlib.util.spec_from_file_location("make", DEPLOY / "kubernetes" / "make.py")
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    wanted = make.manifests()
    assert {path.name for path in wanted} == {"server.yaml", "network.yaml", "worker.yaml"}
    assert make.differing(wanted) == [], "run scripts/manifests"
    kustomization = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    assert sorted(kustomization["resources"]) == sorted(path.name for path in wanted)
    for path in wanted:
        for document in yaml.safe_load_all(path.read_text()):
            kubernetes.validate(document, VERSIONS[-1], strict=True)
