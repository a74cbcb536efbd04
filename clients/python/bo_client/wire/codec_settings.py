"""Conversion of a study's settings to and from messages."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from bo_api.v1 import study_pb2
from google.protobuf.message import Message

from bo_client.errors import InvalidRequest
from bo_client.settings import StudySettings
from bo_client.wire.codec_plain import build_or_raise, duration_to_wire, enum_to_wire, seconds_of

OWNERS = {"suggestion": "", "execution": "", "stopping": "stopping_"}
"""The messages in a study's spec that hold settings, and how the keys of StudySettings for their fields begin."""
CUSTOM_PATH = "spec.suggestion.custom_algorithm"
"""The path of the entry point of an algorithm that is installed beside the server."""
_FIELDS = {
    f"spec.{owner}.{field.name}": ("stopping" if field.name == "rule" else f"{prefix}{field.name}", field)
    for owner, prefix in OWNERS.items()
    for field in getattr(study_pb2.StudySpec(), owner).DESCRIPTOR.fields
}
SETTING_PATHS = {key: path for path, (key, _) in _FIELDS.items() if path != CUSTOM_PATH} | {"fidelity": "spec.fidelity"}
"""The path in a Study message of each key of StudySettings."""
SETTING_FIELDS = {key: field for path, (key, field) in _FIELDS.items() if path != CUSTOM_PATH}
"""The field of the contract for each key of StudySettings but `fidelity`, which is a message of its own."""
_NUMBERS = [
    key for key, field in _FIELDS.values() if field.has_presence and not (field.message_type or field.enum_type)
]
_ALGORITHMS = [name for name, number in study_pb2.Algorithm.items() if number not in (0, study_pb2.ALGORITHM_CUSTOM)]


def settings_to_wire(settings: StudySettings, spec: study_pb2.StudySpec) -> None:
    """Write the given settings into `spec`.

    Raises:
        InvalidRequest: a setting is unknown or cannot be encoded.
    """
    unknown = sorted(set(settings) - set(SETTING_PATHS))
    if unknown:
        raise InvalidRequest.of(unknown[0], f"is not a setting of a study; there are {', '.join(SETTING_PATHS)}")
    if "algorithm" in settings:
        _set_algorithm(spec.suggestion, settings["algorithm"])
    if "acquisition" in settings:
        spec.suggestion.acquisition = enum_to_wire(
            study_pb2.Acquisition, "ACQUISITION", settings["acquisition"], SETTING_PATHS["acquisition"]
        )
    if "per_cost" in settings:
        _set_flag(spec.suggestion, settings["per_cost"])
    if "lease_duration" in settings:
        lease = duration_to_wire(settings["lease_duration"], SETTING_PATHS["lease_duration"])
        spec.execution.lease_duration.CopyFrom(lease)
    if "stopping" in settings:
        spec.stopping.rule = enum_to_wire(
            study_pb2.StoppingRule, "STOPPING_RULE", settings["stopping"], SETTING_PATHS["stopping"]
        )
    if "warm_start_studies" in settings:
        spec.suggestion.warm_start_studies[:] = _source_names(settings["warm_start_studies"])
    if "fidelity" in settings:
        _set_fidelity(spec.fidelity, settings["fidelity"])
    for name in _NUMBERS:
        if name in settings:
            _set_number(*_place(spec, name), SETTING_PATHS[name], cast(Mapping[str, float], settings)[name])


def mask_paths(setting: str) -> tuple[str, ...]:
    """Return the paths in a Study message that a setting is stored at, for an update mask."""
    return (SETTING_PATHS[setting], CUSTOM_PATH) if setting == "algorithm" else (SETTING_PATHS[setting],)


def _set_algorithm(suggestion: study_pb2.SuggestionSettings, name: str) -> None:
    """Set a bundled algorithm by its name, or else one that is installed beside the server."""
    if not isinstance(name, str) or not name:
        raise InvalidRequest.of(SETTING_PATHS["algorithm"], f"is {name!r}; give the name of an algorithm")
    if f"ALGORITHM_{name.upper()}" in _ALGORITHMS:
        suggestion.algorithm = enum_to_wire(study_pb2.Algorithm, "ALGORITHM", name, SETTING_PATHS["algorithm"])
    else:
        suggestion.algorithm = study_pb2.ALGORITHM_CUSTOM
        build_or_raise(CUSTOM_PATH, name, lambda: setattr(suggestion, "custom_algorithm", name))


def _place(spec: study_pb2.StudySpec, setting: str) -> tuple[Message, str]:
    """Return the message that contains a setting, and the field's name."""
    _, owner, field = SETTING_PATHS[setting].split(".")
    return getattr(spec, owner), field


def _set_flag(suggestion: study_pb2.SuggestionSettings, value: bool) -> None:
    if not isinstance(value, bool):  # the wire would take a number for one
        raise InvalidRequest.of(SETTING_PATHS["per_cost"], f"is {value!r}; give True or False")
    suggestion.per_cost = value


def _set_number(owner: Message, name: str, path: str, value: float) -> None:
    build_or_raise(path, value, lambda: setattr(owner, name, value))


def _set_fidelity(message: study_pb2.FidelitySettings, given: Mapping[str, Any]) -> None:
    path = SETTING_PATHS["fidelity"]
    if not isinstance(given, Mapping) or "max" not in given:
        raise InvalidRequest.of(
            path, f"is {given!r}; give a mapping such as {{'metric': 'epoch', 'max': 27, 'min': 1}}"
        )
    message.SetInParent()
    for name, value in given.items():
        if name == "promotion":
            message.promotion = enum_to_wire(study_pb2.Promotion, "PROMOTION", value, f"{path}.promotion")
        elif name in ("metric", "max", "min"):
            if isinstance(value, bool):
                raise InvalidRequest.of(f"{path}.{name}", f"is {value!r}; give a number of steps")
            build_or_raise(f"{path}.{name}", value, lambda n=name, v=value: setattr(message, n, v))  # type: ignore[misc]
        else:
            raise InvalidRequest.of(f"{path}.{name}", "is not known; there are metric, max, min, promotion")


def _source_names(sources: Iterable[Any]) -> list[str]:
    """Return the names of studies given as studies or ids."""
    path = SETTING_PATHS["warm_start_studies"]
    if isinstance(sources, str):
        raise InvalidRequest.of(path, f"is {sources!r}; give a list, as in [{sources!r}]")
    ids = [getattr(source, "id", source) for source in build_or_raise(path, sources, lambda: list(sources))]
    for i, study_id in enumerate(ids):
        if not isinstance(study_id, str):
            raise InvalidRequest.of(f"{path}[{i}]", f"is {study_id!r}; give a study, or its id")
    return [f"studies/{study_id}" for study_id in ids]


def settings_from_wire(spec: study_pb2.StudySpec) -> StudySettings:
    """Return the study's settings, without those that are unset."""
    settings: dict[str, Any] = {}
    if spec.suggestion.algorithm:
        name = study_pb2.Algorithm.Name(spec.suggestion.algorithm).removeprefix("ALGORITHM_").lower()
        settings["algorithm"] = spec.suggestion.custom_algorithm or name
    if spec.suggestion.acquisition:
        settings["acquisition"] = (
            study_pb2.Acquisition.Name(spec.suggestion.acquisition).removeprefix("ACQUISITION_").lower()
        )
    if spec.suggestion.per_cost:
        settings["per_cost"] = True
    lease = seconds_of(spec.execution, "lease_duration")
    if lease is not None:
        settings["lease_duration"] = lease
    if spec.stopping.rule:
        settings["stopping"] = study_pb2.StoppingRule.Name(spec.stopping.rule).removeprefix("STOPPING_RULE_").lower()
    if spec.suggestion.warm_start_studies:
        names = spec.suggestion.warm_start_studies
        settings["warm_start_studies"] = tuple(name.removeprefix("studies/") for name in names)
    if spec.HasField("fidelity"):
        promotion = spec.fidelity.promotion or study_pb2.PROMOTION_ASHA
        settings["fidelity"] = {
            "metric": spec.fidelity.metric or "step",
            "max": spec.fidelity.max,
            "min": spec.fidelity.min if spec.fidelity.HasField("min") else 1,
            "promotion": study_pb2.Promotion.Name(promotion).removeprefix("PROMOTION_").lower(),
        }
    for name in _NUMBERS:
        owner, field = _place(spec, name)
        if owner.HasField(field):
            settings[name] = getattr(owner, field)
    return cast(StudySettings, settings)
