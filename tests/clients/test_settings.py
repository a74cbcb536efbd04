"""A setting of the contract is known wherever the client names settings: whoever adds one can't forget a place."""

import inspect
import re
from typing import Any

import bo_client
import click
import pytest
import yaml
from bo_api.v1 import optimization_service_pb2 as pb
from bo_client import specfile
from bo_client.cli import study_changes
from bo_client.testing import CannedTransport
from bo_client.wire.codec_settings import SETTING_FIELDS, SETTING_PATHS, settings_from_wire
from click.testing import CliRunner
from google.protobuf.descriptor import FieldDescriptor


def example(setting: str) -> Any:
    """Return a value of a setting, other than what a message without it says."""
    field = SETTING_FIELDS.get(setting)
    if field is None:
        return {"metric": "step", "max": 9, "min": 1, "promotion": "asha"}
    if setting == "warm_start_studies":
        return ["earlier"]
    if field.enum_type is not None:
        first, value = (one.name for one in field.enum_type.values[:2])
        return value.removeprefix(first.removesuffix("UNSPECIFIED")).lower()
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return True
    return 2 if field.cpp_type in (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64) else 0.75


def sent(transport: CannedTransport) -> dict[str, Any]:
    """Return the settings of the study that was created."""
    ((_, request),) = transport.calls
    assert isinstance(request, pb.CreateStudyRequest)
    return {n: list(v) if isinstance(v, tuple) else v for n, v in settings_from_wire(request.study.spec).items()}


@pytest.fixture
def transport() -> CannedTransport:
    def created(request: Any) -> pb.CreateStudyResponse:
        return pb.CreateStudyResponse(study=request.study)

    return CannedTransport(CreateStudy=created)


def test_the_type_of_settings_has_them_all() -> None:
    assert set(bo_client.StudySettings.__annotations__) == set(SETTING_PATHS)


@pytest.mark.parametrize("setting", SETTING_PATHS)
def test_create_study_takes_it_and_explains_it(transport: CannedTransport, setting: str) -> None:
    create: Any = bo_client.Client.create_study
    assert re.search(rf"^ {{12}}{setting}: ", create.__doc__, re.MULTILINE)
    assert setting in inspect.signature(create).parameters
    create(transport.client(), "s", {"x": (0.0, 1.0)}, "loss", "minimize", **{setting: example(setting)})
    assert sent(transport) == {setting: example(setting)}


@pytest.mark.parametrize("setting", SETTING_PATHS)
def test_a_file_takes_it(setting: str) -> None:
    study = {"parameters": {"x": {"type": "float", "low": 0, "high": 1}}, "metrics": {"loss": "minimize"}}
    text = yaml.safe_dump({**study, "settings": {setting: example(setting)}})
    assert specfile.parse(text).settings == {setting: example(setting)}


@pytest.mark.parametrize("command", [study_changes.create, study_changes.update], ids=["create", "update"])
@pytest.mark.parametrize("setting", SETTING_FIELDS)
def test_a_command_has_its_option_with_a_help_text(command: click.Command, setting: str) -> None:
    (option,) = (p for p in command.params if isinstance(p, click.Option) and p.name == setting)
    assert option.help


@pytest.mark.parametrize("setting", SETTING_FIELDS)
def test_the_command_sends_it(transport: CannedTransport, tmp_path: Any, setting: str) -> None:
    path, value = tmp_path / "study.yaml", example(setting)
    path.write_text("parameters: {x: {type: float, low: 0, high: 1}}\nmetrics: {loss: minimize}\n")
    (option,) = (p for p in study_changes.create.params if p.name == setting)
    values = [] if value is True else value if isinstance(value, list) else [str(value)]
    given = [option.opts[0], *values]
    result = CliRunner().invoke(study_changes.create, ["s", "--space", str(path), *given], obj=transport.client())
    assert result.exit_code == 0, result.output
    assert sent(transport) == {setting: value}
