"""The chart and the plain manifests, as Helm and Kubernetes' own schemas judge them."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

helm = pytest.importorskip("helm_python", reason="needs the extra deploy")

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "bo-service"
VERSIONS = ("1.31", "1.37")
CUSTOM = ("ServiceMonitor", "ScaledObject")
"""Kinds that come with operators, whose schemas Kubernetes doesn't have."""

DIGEST = "sha256:" + "5" * 64
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
        "dashboard": {"enabled": True, "host": "bo.example"},
        "image": {"digest": DIGEST},
    },
    "networkPolicy": {
        "from": [{"podSelector": {}}],
        "dashboardFrom": [{"podSelector": {"matchLabels": {"app": "ingress"}}}],
        "databaseTo": [{"ipBlock": {"cidr": "10.1.2.3/32"}}],
        "extraEgress": [{"ports": [{"port": 4317}]}],
        "workerExtraEgress": [{"ports": [{"port": 5000}]}],
    },
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


@pytest.fixture(scope="module")
def kubernetes() -> Any:
    """Kubernetes' own schemas, which take seconds to load: only where they are asked for."""
    return pytest.importorskip("kubernetes_validate", reason="needs the extra deploy")


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


@pytest.mark.xdist_group("kubernetes")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_kubernetes_knows_every_field(kubernetes: Any, values: dict[str, Any], version: str) -> None:
    documents = rendered(values)
    assert {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"} <= {d["kind"] for d in documents}
    for document in documents:
        if document["kind"] not in CUSTOM:
            kubernetes.validate(document, version, strict=True)


@pytest.mark.xdist_group("kubernetes")
def test_the_schemas_would_find_a_field_that_is_not_there(kubernetes: Any) -> None:
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
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert not [v for v in pod["volumes"] if "hostPath" in v]
        assert pod["automountServiceAccountToken"] is False
        for each in [*pod["containers"], *pod.get("initContainers", [])]:
            assert each["securityContext"]["readOnlyRootFilesystem"]
            assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert each["securityContext"]["allowPrivilegeEscalation"] is False
            assert not each["securityContext"].get("privileged")
            assert {"cpu", "memory", "ephemeral-storage"} <= each["resources"]["requests"].keys()
            assert {"memory", "ephemeral-storage"} <= each["resources"]["limits"].keys()


def policy(values: dict[str, Any], name: str = "bo") -> dict[str, Any]:
    return one(rendered(values), "NetworkPolicy", name)["spec"]


def opened(rules: list[dict[str, Any]], peer: str) -> dict[int | str, Any]:
    """Each port that a policy opens, and to or from whom."""
    return {port["port"]: rule.get(peer) for rule in rules for port in rule["ports"]}


COMPONENT = {"app.kubernetes.io/name": "bo-service", "app.kubernetes.io/instance": "bo"}
CLUSTERS_DNS = [
    {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}},
    {"ipBlock": {"cidr": "169.254.20.10/32"}},
]


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_every_pod_is_under_a_policy_of_both_directions(values: dict[str, Any]) -> None:
    documents = rendered(values)
    selected = [d["spec"]["podSelector"]["matchLabels"] for d in documents if d["kind"] == "NetworkPolicy"]
    assert all(d["spec"]["policyTypes"] == ["Ingress", "Egress"] for d in documents if d["kind"] == "NetworkPolicy")
    for pod in (d["spec"]["template"] for d in documents if "template" in d["spec"]):
        assert [s for s in selected if s.items() <= pod["metadata"]["labels"].items()]


def test_each_port_of_a_server_is_open_to_those_it_is_for_alone() -> None:
    workers = {"podSelector": {"matchLabels": {**COMPONENT, "app.kubernetes.io/component": "worker"}}}
    clients = {"podSelector": {"matchLabels": {"bo-service/client": "true"}}}
    monitoring = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    assert opened(policy({})["ingress"], "from") == {"grpc": [workers, clients], "metrics": [monitoring]}
    ingress = {"podSelector": {"matchLabels": {"app": "ingress"}}}
    shown = {"server": {**TLS["server"], "dashboard": {"enabled": True}}}
    assert "dashboard" not in opened(policy(shown)["ingress"], "from")
    shown["networkPolicy"] = {"dashboardFrom": [ingress]}
    assert opened(policy(shown)["ingress"], "from")["dashboard"] == [ingress]
    silent = {"server": {"metrics": {"enabled": False}}}
    assert opened(policy(silent)["ingress"], "from").keys() == {"grpc"}


def test_a_server_reaches_dns_and_its_database_and_a_worker_dns_and_its_server() -> None:
    assert opened(policy({})["egress"], "to") == {53: CLUSTERS_DNS, 5432: None}
    address = {"ipBlock": {"cidr": "10.1.2.3/32"}}
    assert opened(policy({"networkPolicy": {"databaseTo": [address]}})["egress"], "to")[5432] == [address]
    servers = {"podSelector": {"matchLabels": {**COMPONENT, "app.kubernetes.io/component": "server"}}}
    worker = policy(TLS | WORKERS, "bo-worker")
    assert worker["ingress"] == []
    assert opened(worker["egress"], "to") == {53: CLUSTERS_DNS, 50051: [servers]}
    elsewhere = TLS | {"worker": {**WORKERS["worker"], "server": "bo.example:443"}}
    assert opened(policy(elsewhere, "bo-worker")["egress"], "to") == {53: CLUSTERS_DNS, 443: None}


def test_the_ports_that_a_policy_names_are_the_containers() -> None:
    documents = rendered(FULL)
    named = {p["name"] for p in container(one(documents, "Deployment", "bo"))["ports"]}
    assert named == {"grpc", "metrics", "dashboard"}
    assert {p for p in opened(policy(FULL)["ingress"], "from") if isinstance(p, str)} == named
    assert {p["targetPort"] for p in one(documents, "Service", "bo")["spec"]["ports"]} == named


def test_a_budget_keeps_a_replica_and_never_the_only_one() -> None:
    """Where the only pod must stay, its node can't be drained."""
    assert one(rendered({}), "PodDisruptionBudget", "bo")["spec"]["minAvailable"] == 1
    assert "PodDisruptionBudget" not in {d["kind"] for d in rendered({"server": {"replicas": 1}})}


def test_an_image_is_named_by_its_digest_where_that_is_given() -> None:
    values = {"server": {"image": {"repository": "r/bo", "digest": DIGEST}}}
    pod = one(rendered(values), "Deployment", "bo")["spec"]["template"]["spec"]
    images = {each["image"] for each in pod["containers"] + pod["initContainers"]}
    assert images == {f"r/bo:0.1.0@{DIGEST}"}


def test_probes_ask_what_the_server_answers_and_the_pod_outlives_its_drain() -> None:
    from bo_service.rpc.server import LIVENESS, READINESS

    server = one(rendered({"server": {"drainSeconds": 20, "graceSeconds": 30}}), "Deployment", "bo")
    assert container(server)["readinessProbe"]["grpc"] == {"port": 50051, "service": READINESS}
    assert container(server)["livenessProbe"]["grpc"] == {"port": 50051, "service": LIVENESS}
    assert server["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > 20 + 30
    assert {"--drain-seconds=20", "--grace-seconds=30"} <= set(container(server)["args"])


def test_with_tls_the_probes_run_in_the_container_since_kubernetes_own_speak_none() -> None:
    from bo_service.cli.main import main

    server = container(one(rendered(TLS), "Deployment", "bo"))
    program, command, *arguments = server["readinessProbe"]["exec"]["command"]
    known = {option for parameter in main.commands[command].params for option in parameter.opts}
    assert program == "bo-service"
    assert {argument.partition("=")[0] for argument in arguments} <= known
    assert "--insecure" not in server["args"]


@pytest.mark.parametrize("values", CASES.values(), ids=CASES.keys())
def test_the_commands_take_the_arguments_they_are_given(values: dict[str, Any]) -> None:
    from bo_worker.cli import main as worker

    from bo_service.cli.main import main as server

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
    from bo_service.domain.trial import TrialState

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
        ({"server": {"image": {"digest": "sha256:1"}}}, "digest"),
        ({"server": {"dashboard": {"enabled": True}}}, "unencrypted"),
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


@pytest.mark.xdist_group("kubernetes")
def test_the_plain_manifests_are_what_the_chart_makes(kubernetes: Any) -> None:
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
