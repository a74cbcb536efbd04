"""Requests at random: good ones, good ones with something wrong, messages of anything, and broken bytes."""

import random
import struct
from collections.abc import Callable
from typing import Any

from bo_api.v1 import optimization_service_pb2 as pb
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from tests.fuzz.target import METHODS
from tests.fuzz.world import GOOD, SPECS, World

DOUBLES = [0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), 2.0**53]
INTEGERS = [0, 1, 2, -1, 7, 100, 101, 1000, 1001, 2**31 - 1, -(2**31), 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
WORDS = [
    "", "a", "loss", "lr", "norm", "x" * 63, "x" * 64, "x" * 128, "x" * 129, "x" * 2049, "x" * 10_001, "ä", "是" * 300,
    "\0", "a\0b", "\n", "\u202e", "\U0001f600", "..", "../..", "studies/", "studies//trials/1", "%s%n",
    "'; DROP TABLE studies", '"]', "null", "NaN", "-1", "0", "1e400", "spec.suggestion", "*",
    "studies/plain/trials/0", "studies/plain/trials/01",
    "studies/plain/trials/999999999999999999", "studies/plain/trials/9999999999999999999", "studies/plain/trials/٣",
]  # fmt: skip
MASKS = [
    "display_name",
    "labels",
    "state",
    "spec.suggestion",
    "spec.execution.max_trials",
    "spec.stopping",
    "spec.space",
]
HUGE = 0.002


class Mutator:
    """Makes requests; `rng` decides, and the world says what there is to name."""

    def __init__(self, rng: random.Random, world: World) -> None:
        self.rng, self.world = rng, world
        self.ids = 0

    def request(self) -> tuple[str, bytes]:
        """A method, and bytes to send to it."""
        method = self.rng.choice(list(METHODS))
        kind = self.rng.random()
        if method == "DeleteStudy" and self.rng.random() < 0.9:
            method = "GetStudy"
        if kind < 0.15:
            message: Message = self.anything(METHODS[method].input_type, 0)
        else:
            message = self.good(method)
            for _ in range(self.rng.choice((0, 1, 1, 1, 2, 4))):
                self.spoil(message)
        data = message.SerializeToString()
        return method, self.broken(data) if self.rng.random() < 0.35 else data

    # Good requests

    def good(self, method: str) -> Any:
        kind = getattr(pb, f"{method}Request")
        request = kind()
        rng, world = self.rng, self.world
        fields = kind.DESCRIPTOR.fields_by_name
        if "parent" in fields:
            request.parent = rng.choice(world.studies)
        if "name" in fields:
            of_study = method in ("GetStudy", "DeleteStudy", "AnalyzeStudy", "WatchStudy")
            request.name = rng.choice(world.studies if of_study else world.trials or [""])
        if "request_id" in fields and rng.random() < 0.7:
            self.ids += rng.random() < 0.9
            request.request_id = f"r{self.ids}"
        if "lease_token" in fields:
            request.lease_token = rng.choice(world.tokens)
        fill: Callable[[Any], None] | None = getattr(self, f"_fill_{method}", None)
        if fill is not None:
            fill(request)
        return request

    def _fill_CreateStudy(self, request: Any) -> None:
        request.study_id = self.rng.choice(["plain", f"n{self.rng.randrange(500)}"])
        json_format.ParseDict(self.rng.choice(list(SPECS.values())), request.study.spec)

    def _fill_UpdateStudy(self, request: Any) -> None:
        request.study.name = self.rng.choice(self.world.studies)
        json_format.ParseDict(self.rng.choice(list(SPECS.values())), request.study.spec)
        request.study.state = 1
        request.update_mask.paths.extend(self.rng.sample(MASKS, self.rng.randrange(1, 3)))

    def _fill_SuggestTrials(self, request: Any) -> None:
        request.worker_id = "fuzz"

    def _fill_CreateTrial(self, request: Any) -> None:
        json_format.ParseDict({"parameters": GOOD}, request.trial)
        if self.rng.random() < 0.5:
            request.trial.final_measurement.metrics.update({"loss": 0.5, "score": 1.0, "ms": 2.0})
        elif self.rng.random() < 0.3:
            request.trial.failure.reason = self.rng.randrange(1, 7)
        for i in range(self.rng.choice((0, 0, 3))):
            request.trial.measurements.add(step=i, metrics={"loss": self.rng.random(), "other": 1.0})
        request.trial.checkpoint_uri = self.rng.choice(("", "gs://a"))
        request.trial.labels["a"] = "b"

    def _fill_ReportMeasurements(self, request: Any) -> None:
        for i in range(self.rng.randrange(3)):
            request.measurements.add(step=i, metrics={"loss": self.rng.random()}).elapsed.seconds = i
        request.checkpoint_uri = self.rng.choice(("", "gs://a"))

    def _fill_CompleteTrial(self, request: Any) -> None:
        if self.rng.random() < 0.5:
            request.final_measurement.metrics.update({"loss": 0.5, "score": 1.0, "ms": 2.0})
        else:
            request.failure.reason = self.rng.randrange(1, 7)

    def _fill_Predict(self, request: Any) -> None:
        json_format.ParseDict({"configurations": [{"parameters": GOOD}]}, request)

    def _fill_PredictSlice(self, request: Any) -> None:
        request.parameters.append("lr")
        request.grid_size = 3
        if self.rng.random() < 0.5:
            json_format.ParseDict({"base": {"parameters": GOOD}}, request)

    def _fill_AddArtifact(self, request: Any) -> None:
        request.artifact_id, request.media_type = self.rng.choice("abc"), "text/plain"
        if self.rng.random() < 0.5:
            request.content = b"x" * self.rng.randrange(9)
        else:
            request.uri = "gs://a"

    def _fill_ListArtifacts(self, request: Any) -> None:
        request.parent = self.rng.choice(self.world.trials or [""])

    def _fill_GetArtifact(self, request: Any) -> None:
        request.name = f"{self.rng.choice(self.world.trials or [''])}/artifacts/{self.rng.choice('abc')}"

    def _fill_SetTrialNote(self, request: Any) -> None:
        request.text = self.rng.choice(WORDS)

    def _fill_ListTrials(self, request: Any) -> None:
        request.states.extend(self.rng.sample(range(1, 7), self.rng.randrange(4)))
        request.page_size = self.rng.choice((0, 1, 1000))
        request.view = self.rng.randrange(3)

    # Something wrong

    def spoil(self, message: Any) -> None:
        """Changes one field somewhere inside."""
        while True:
            fields = list(message.DESCRIPTOR.fields)
            if not fields:
                return
            field = self.rng.choice(fields)
            inner = self._inner(message, field)
            if inner is None or self.rng.random() < 0.3:
                self._change(message, field)
                return
            message = inner

    def _inner(self, message: Any, field: FieldDescriptor) -> Any:
        """A message that is there in this field."""
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            return None
        value = getattr(message, field.name)
        if field.is_repeated:
            if not value:
                return None
            if _is_map(field):
                chosen = value[self.rng.choice(list(value))]
                return chosen if isinstance(chosen, Message) else None
            return self.rng.choice(value)
        return value if message.HasField(field.name) else None

    def _change(self, message: Any, field: FieldDescriptor) -> None:
        if self.rng.random() < 0.15:
            message.ClearField(field.name)
            return
        if field.is_repeated:
            self._change_repeated(message, field)
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            getattr(message, field.name).CopyFrom(self.anything(field.message_type, 2))
        else:
            setattr(message, field.name, self.scalar(field))

    def _change_repeated(self, message: Any, field: FieldDescriptor) -> None:
        values = getattr(message, field.name)
        if _is_map(field):
            key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
            for _ in range(self.count()):
                name = self.scalar(key)
                if value.type == FieldDescriptor.TYPE_MESSAGE:
                    values[name].CopyFrom(self.anything(value.message_type, 2))
                else:
                    values[name] = self.scalar(value)
        elif values and self.rng.random() < 0.3:
            del values[self.rng.randrange(len(values))]
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            one = self.anything(field.message_type, 2) if not values or self.rng.random() < 0.5 else values[0]
            copies = [type(one).FromString(one.SerializeToString()) for _ in range(self.count())]
            values.extend(copies)
        else:
            values.extend(self.scalar(field) for _ in range(self.count()))

    def count(self) -> int:
        return self.rng.choice((1001, 10_001)) if self.rng.random() < HUGE else self.rng.choice((1, 1, 2, 3, 65, 257))

    def anything(self, kind: Descriptor, depth: int) -> Any:
        """A message of that kind with anything in it."""
        from google.protobuf import message_factory

        message = message_factory.GetMessageClass(kind)()
        for field in kind.fields:
            if self.rng.random() < 0.5 or depth > 4:
                continue
            if not field.is_repeated and field.type == FieldDescriptor.TYPE_MESSAGE:
                getattr(message, field.name).CopyFrom(self.anything(field.message_type, depth + 1))
            elif not field.is_repeated:
                setattr(message, field.name, self.scalar(field))
            elif not _is_map(field):
                for _ in range(self.rng.choice((0, 1, 2))):
                    if field.type == FieldDescriptor.TYPE_MESSAGE:
                        getattr(message, field.name).append(self.anything(field.message_type, depth + 1))
                    else:
                        getattr(message, field.name).append(self.scalar(field))
        return message

    def scalar(self, field: FieldDescriptor) -> Any:
        rng = self.rng
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
                return rng.choice(DOUBLES) if rng.random() < 0.7 else rng.uniform(-10, 10)
            case FieldDescriptor.CPPTYPE_INT32:
                return rng.choice([i for i in INTEGERS if -(2**31) <= i < 2**31])
            case FieldDescriptor.CPPTYPE_INT64:
                return rng.choice(INTEGERS)
            case FieldDescriptor.CPPTYPE_BOOL:
                return rng.random() < 0.5
            case FieldDescriptor.CPPTYPE_ENUM:
                return rng.randrange(0, 8) if rng.random() < 0.9 else 2**31 - 1
            case FieldDescriptor.CPPTYPE_STRING:
                if rng.random() < HUGE:
                    huge = "y" * rng.choice((100_000, 4_194_000))
                    return huge.encode() if field.type == FieldDescriptor.TYPE_BYTES else huge
                pool = [*WORDS, *self.world.studies[:3], *self.world.trials[:3], *self.world.tokens[:2]]
                word = rng.choice(pool)
                return word.encode() if field.type == FieldDescriptor.TYPE_BYTES else word
        raise AssertionError(field.cpp_type)

    # Broken bytes

    def broken(self, data: bytes) -> bytes:
        """The bytes with some of them changed, lost, doubled or moved; or any bytes."""
        rng = self.rng
        kind = rng.randrange(7)
        if kind == 0 or not data:
            return rng.randbytes(rng.choice((1, 2, 8, 100, 1000)))
        at, to = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        match kind:
            case 1:
                return data[:at]
            case 2:
                return data[:at] + data[to:]
            case 3:
                return data[:to] + data[at:to] * rng.choice((1, 2, 50)) + data[to:]
            case 4:
                return data[:at] + rng.randbytes(rng.choice((1, 4))) + data[at:]
            case 5:
                return data[:at] + _varint(rng.getrandbits(rng.choice((7, 32, 64, 70)))) + data[at:]
        flipped = bytearray(data)
        for _ in range(rng.choice((1, 2, 8))):
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
        return bytes(flipped) + (struct.pack("<d", float("nan")) if rng.random() < 0.05 else b"")


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
