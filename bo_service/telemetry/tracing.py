"""Spans for OpenTelemetry: calls, transactions, computations. It is imported only if tracing is enabled."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import grpc
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from bo_service import request_context
from bo_service.application.prefetch import CacheOutcome
from bo_service.domain.errors import StartupError
from bo_service.rpc.handlers import outcome
from bo_service.telemetry.instrument import Computation

logger = logging.getLogger("bo_service.tracing")

SERVER_FAULTS = ("UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS")
"""Status codes that mark a call as failed, by OpenTelemetry's conventions for servers."""


class Tracing:
    """An instrument that records spans. A call's span continues the client's trace if `traceparent` names one."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("bo_service")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def call(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        parent = self._propagator.extract({k: str(v) for k, v in context.invocation_metadata() or ()})
        attributes = {"rpc.system": "grpc", "rpc.method": method}
        with self._tracer.start_as_current_span(
            method, parent, SpanKind.SERVER, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            call = request_context.CURRENT.get(None)
            if call is not None:
                call.trace_id = f"{span.get_span_context().trace_id:032x}"
            try:
                yield
            finally:
                code = outcome(context)
                span.set_attribute("rpc.response.status_code", code)
                span.set_status(Status(StatusCode.ERROR if code in SERVER_FAULTS else StatusCode.UNSET))
                if call is not None:
                    fields = {
                        "bo.study": call.study,
                        "bo.principal": call.principal.name,
                        "bo.request": call.request_id,
                    }
                    span.set_attributes(fields)

    def refused(self, method: str, code: str) -> None:
        """Record nothing: strangers cause no spans."""

    @contextmanager
    def transaction(self, kind: str) -> Iterator[None]:
        if not trace.get_current_span().get_span_context().is_valid:
            yield  # what the server does on its own, each second, is no trace
            return
        with self._tracer.start_as_current_span(f"storage {kind}"):
            yield

    @contextmanager
    def computation(self, computation: Computation) -> Iterator[None]:
        attributes = {"bo.observations": computation.observations}
        with self._tracer.start_as_current_span(f"optimizer {computation.task}", attributes=attributes) as span:
            try:
                yield
            finally:
                span.set_attribute("bo.outcome", computation.outcome)

    def replayed(self, method: str) -> None:  # noqa: ARG002 - for all instruments
        trace.get_current_span().set_attribute("bo.replayed", True)

    def leases_expired(self, count: int) -> None:
        """Do nothing, as no call and so no span is active."""

    def suggestions_found(self, outcome: CacheOutcome) -> None:
        if outcome is not CacheOutcome.EVICTED:
            trace.get_current_span().set_attribute("bo.suggestions", outcome.value)


def provider_from_environment(environment: Mapping[str, str] = os.environ) -> TracerProvider:
    """Return the provider that the variables OTEL_* describe; the SDK reads most of them itself.

    Args:
        environment: the environment variables.

    Raises:
        StartupError: the exporter is unknown or not installed.
    """
    exporter = _exporter(environment.get("OTEL_TRACES_EXPORTER", "otlp"), environment)
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource

    defaults = {} if "OTEL_SERVICE_NAME" in environment else {SERVICE_NAME: "bo-service"}
    provider = TracerProvider(resource=Resource.create(defaults))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    logger.info("traces go to %s", type(exporter).__name__)
    return provider


def _exporter(name: str, environment: Mapping[str, str]) -> SpanExporter:
    if name == "console":
        return ConsoleSpanExporter()
    if name != "otlp":
        raise StartupError(f"OTEL_TRACES_EXPORTER: is {name!r}; give otlp, console or none")
    default_protocol = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", default_protocol)
    make = EXPORTERS.get(protocol)
    if make is None:
        raise StartupError(f"OTEL_EXPORTER_OTLP_PROTOCOL: is {protocol!r}; give {' or '.join(EXPORTERS)}")
    return make()


def _over_grpc() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


def _over_http() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


EXPORTERS: dict[str, Callable[[], SpanExporter]] = {"grpc": _over_grpc, "http/protobuf": _over_http}
