"""Texts and numbers that are stored and sent are data: no program runs because of them, and no statement changes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import bo_client
import grpc
import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.attacks.conftest import SPACE
from tests.attacks.test_stalls import OWN, SERVICE, code_of

ROOT = Path(__file__).parents[2]
SOURCES = ("bo_service", "clients/python", "objectives")
LOADERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
"""Modules that run what they read."""
WITH_LOADERS = {
    "objectives/bo_objectives/efficientnet/torch_file.py",  # reads names of tensors alone, which a test of it proves
    "clients/python/bo_client/integrations/ray_tune.py",  # writes what Ray itself reads
}
RUNNERS = {"eval", "exec", "compile", "system", "popen"}
UNKNOWN = {
    "yaml.load": "clients/python/bo_client/textfile.py",  # with a loader of its own, of plain values
    "exec": "objectives/bo_objectives/efficientnet/user_code.py",  # of a file that its user names
}
QUOTES = """'; DROP TABLE studies; --"`%s {0} :name $1 \\ ’ \N{SNOWMAN}"""


def parsed() -> Iterator[tuple[str, ast.AST]]:
    for folder in SOURCES:
        for file in (ROOT / folder).rglob("*.py"):
            yield str(file.relative_to(ROOT)), ast.parse(file.read_text("utf-8"))


def runs_what_it_is_given(node: ast.AST) -> bool:
    """Whether a call runs a text."""
    if not isinstance(node, ast.Call):
        return False
    if any(given.arg == "shell" and getattr(given.value, "value", True) for given in node.keywords):
        return True
    match node.func:
        case ast.Name(id=name):
            return name in RUNNERS
        case ast.Attribute(value=ast.Name(id="os"), attr=name):
            return name in RUNNERS
        case ast.Attribute(value=ast.Name(id="yaml"), attr=name):
            return name in ("load", "load_all", "unsafe_load", "full_load")
    return False


def test_no_module_runs_what_it_reads() -> None:
    importing, running = set(), set()
    for file, tree in parsed():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom):
                names = {(node.module or "").partition(".")[0], *(name.name for name in node.names)}
            else:
                names = set()
            importing |= {file for _ in names & LOADERS}
            running |= {file for _ in [node] if runs_what_it_is_given(node)}
    assert importing == WITH_LOADERS
    assert running == set(UNKNOWN.values())


def test_texts_with_quotes_are_stored_as_they_are(target) -> None:
    """Where any text is allowed it comes back exactly, and every study is still there."""
    with target.client("admin") as client:
        space = bo_client.SearchSpace([bo_client.CategoricalParameter("kind", [QUOTES, "b"]), *SPACE.parameters])
        study = client.create_study("quoted", space, "loss", goal="minimize", labels={"k": QUOTES})
        study.enqueue({"kind": QUOTES, "x": 0.5})
        (trial,) = study.suggest(worker_id="w'; --")
        assert trial.parameters["kind"] == QUOTES
        trial.fail("CRASHED", QUOTES)
        kept = client.call("GetTrial", pb.GetTrialRequest(name=f"{study.name}/trials/{trial.number}"))
        assert QUOTES in json_format.MessageToDict(kept)["trial"]["attempts"][0]["failure"]["message"]
        assert client.study("quoted").definition.labels == {"k": QUOTES}
        for name in (QUOTES, "s' OR '1'='1"):
            with pytest.raises(bo_client.BoClientError) as refused:
                client.call("GetStudy", pb.GetStudyRequest(name=f"studies/{name}"))
            assert refused.value.reason in ("INVALID_ARGUMENT", "NOT_FOUND")
        assert {info.id for info in client.studies()} >= {"quoted", "s"}


# -- the character NUL, wherever a text may be


SPEC = {
    "space": {
        "parameters": [
            {"name": "x", "floatParameter": {"high": 1.0}, "description": "d", "unit": "u"},
            {"name": "k", "categoricalParameter": {"values": [{"stringValue": "a"}, {"stringValue": "b"}]}},
            {
                "name": "y",
                "intParameter": {"high": "5"},
                "activation": {"parameter": "k", "values": [{"stringValue": "a"}]},
            },
        ],
        "constraints": [{"linear": {"coefficients": {"x": 1.0}, "upperBound": 5.0}, "description": "c"}],
    },
    "metrics": [{"name": "loss", "goal": "GOAL_MINIMIZE", "unit": "u"}],
}
REQUESTS = {
    "CreateStudy": {
        "studyId": "nul",
        "requestId": "r",
        "study": {
            "displayName": "n",
            "labels": {"k": "v"},
            "spec": SPEC,
            "objective": {"name": "o", "options": {"k": "v"}},
        },
    },
    "GetStudy": {"name": "studies/s"},
    "SuggestTrials": {
        "parent": "studies/s",
        "workerId": "w",
        "requestId": "r",
        "objective": {"name": "o", "options": {"k": "v"}},
    },
    "CreateTrial": {
        "parent": "studies/s",
        "requestId": "r",
        "trial": {
            "parameters": {"x": {"floatValue": 0.5}},
            "labels": {"k": "v"},
            "failure": {"reason": "FAILURE_REASON_CRASHED", "message": "m"},
            "measurements": [{"step": "1", "metrics": {"loss": 1.0}}],
        },
    },
    "ReportMeasurements": {
        "name": "studies/s/trials/1",
        "leaseToken": "t",
        "checkpointUri": "u",
        "measurements": [{"step": "1", "metrics": {"loss": 1.0}}],
    },
    "CompleteTrial": {
        "name": "studies/s/trials/1",
        "leaseToken": "t",
        "requestId": "r",
        "labels": {"k": "v"},
        "failure": {"reason": "FAILURE_REASON_CRASHED", "message": "m"},
    },
    "StopTrial": {"name": "studies/s/trials/1", "requestId": "r", "reason": "r"},
    "DeleteTrial": {"name": "studies/s/trials/1", "requestId": "r"},
}


def texts_of(given: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all texts of a request as JSON: values, and the keys of maps, whose place ends with `KEY`."""
    if isinstance(given, dict):
        for name, one in given.items():
            if path and path[-1] in ("labels", "options", "coefficients", "metrics", "parameters"):
                yield (*path, name, KEY)
            yield from texts_of(one, (*path, name))
    elif isinstance(given, list):
        for i, one in enumerate(given):
            yield from texts_of(one, (*path, i))
    elif isinstance(given, str) and not (given.isdigit() or given.startswith(("GOAL_", "FAILURE_"))):
        yield path


KEY = "<key>"


def with_nul(given: object, path: tuple[str | int, ...]) -> object:
    first, *rest = path or (None,)
    if first is None:
        return f"{given}\0"
    if isinstance(given, dict):
        if rest == [KEY]:
            return {f"{name}\0" if name == first else name: one for name, one in given.items()}
        return {name: with_nul(one, tuple(rest)) if name == first else one for name, one in given.items()}
    assert isinstance(given, list)
    return [with_nul(one, tuple(rest)) if i == first else one for i, one in enumerate(given)]


CASES = [(method, path) for method, given in REQUESTS.items() for path in texts_of(given)]


def test_the_character_nul_is_refused_in_every_text(target) -> None:
    assert len(CASES) > 40
    taken = []
    with grpc.insecure_channel(target.address, OWN) as channel:
        for method, path in CASES:
            request: Message = getattr(pb, f"{method}Request")()
            json_format.ParseDict(with_nul(REQUESTS[method], path), request)
            call = channel.unary_stream(f"{SERVICE}{method}")
            code = code_of(call(request.SerializeToString(), timeout=60, metadata=target.metadata("admin")))
            if code is not grpc.StatusCode.INVALID_ARGUMENT:
                taken.append((method, path, code))
    assert taken == [], "\n".join(map(str, taken))


def test_every_kind_of_text_is_tried() -> None:
    """Each field of a request that holds text and that a caller chooses; enumerations and numbers hold none."""
    tried = {(method, *(str(step) for step in path if not isinstance(step, int))) for method, path in CASES}
    for method in REQUESTS:
        fields = getattr(pb, f"{method}Request").DESCRIPTOR.fields
        texts = {f.json_name for f in fields if f.type == FieldDescriptor.TYPE_STRING}
        assert {path[1] for path in tried if path[0] == method} >= texts, method
