"""The table of who may call what is complete, and sees every study that a request names."""

import pytest
from bo_api.v1 import optimization_service_pb2 as pb
from bo_api.v1 import token_service_pb2 as token_pb
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from bo_service.domain.access import Role
from bo_service.domain.errors import InvalidArgument
from bo_service.rpc.admission import RULES, AccessRule

SERVED = (pb, token_pb, health_pb2, reflection_pb2)
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for module in SERVED
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
OURS = {name: m for name, m in METHODS.items() if name.startswith("/bo_api.v1.OptimizationService/")}

NAMING = {"name": "studies/mine/trials/3", "parent": "studies/mine", "study_id": "mine"}
OTHERWISE = {
    "name": ("studies/mine", "studies/mine/trials/3/artifacts/a.png"),
    "parent": ("studies/mine/trials/3",) * 2,
}
"""What else these fields may name; of GetArtifact the second."""


def test_every_method_has_a_rule_and_every_rule_a_method() -> None:
    assert set(RULES) == set(METHODS)


def test_health_alone_is_open() -> None:
    assert {name.split("/")[1] for name, rule in RULES.items() if rule.role is None} == {"grpc.health.v1.Health"}


def test_what_takes_away_and_what_gives_power_is_for_administrators() -> None:
    for name, rule in RULES.items():
        deals_in_tokens = "TokenService" in name and not name.endswith("/GetCaller")
        if name.split("/")[2].startswith(("Delete", "Revoke")) or deals_in_tokens:
            assert rule.role is Role.ADMIN, name
        if deals_in_tokens:
            assert rule.is_for_every_study, name


def test_whoever_is_let_in_may_ask_what_they_may_do() -> None:
    assert RULES["/bo_api.v1.TokenService/GetCaller"] == AccessRule(Role.READER)


def test_readers_change_nothing() -> None:
    """Whatever takes a request id or a lease changes something."""
    for name, method in METHODS.items():
        if {"request_id", "lease_token"} & set(method.input_type.fields_by_name):
            assert RULES[name].role in (Role.WORKER, Role.ADMIN), name


def naming(method):
    """A request that names the study `mine` wherever its message can."""
    request = GetMessageClass(method.input_type)()
    for field, value in NAMING.items():
        if field in method.input_type.fields_by_name:
            setattr(request, field, value)
    study = method.input_type.fields_by_name.get("study")
    if study is not None and study.type == FieldDescriptor.TYPE_MESSAGE:
        request.study.name = "studies/mine"
    return request


@pytest.mark.parametrize("name", sorted(set(OURS) - {"/bo_api.v1.OptimizationService/ListStudies"}))
def test_the_study_that_a_request_names_is_seen(name: str) -> None:
    request = naming(OURS[name])
    rule = RULES[name]
    try:
        found = rule.studies(request)
    except InvalidArgument:  # this one names a study, a trial's parts, or one of them
        for field, value in OTHERWISE.items():
            if field in OURS[name].input_type.fields_by_name:
                setattr(request, field, value[name.rpartition("/")[2] == "GetArtifact"])
        found = rule.studies(request)
    assert list(found) == ["mine"]


@pytest.mark.parametrize("method", ["CreateStudy", "UpdateStudy"])
def test_studies_to_start_from_are_seen_too(method: str) -> None:
    name = f"/bo_api.v1.OptimizationService/{method}"
    request = naming(OURS[name])
    request.study.spec.suggestion.warm_start_studies.extend(["studies/theirs", "nonsense"])
    assert list(RULES[name].studies(request)) == ["mine", "theirs", "nonsense"]
