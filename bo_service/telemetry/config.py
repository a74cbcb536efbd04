"""Detect from OpenTelemetry's environment variables whether tracing is enabled; it needs the extra `otel`."""

import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bo_service.domain.errors import StartupError

if TYPE_CHECKING:
    from bo_service.telemetry.tracing import Tracing

logger = logging.getLogger("bo_service.tracing")

ENABLING_VARIABLES = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def tracing_from_environment(
    environment: Mapping[str, str] = os.environ,
) -> "tuple[Tracing, Callable[[], None]] | None":
    """Return the tracing instrument and a function that flushes it, or None if tracing is not enabled.

    Args:
        environment: the environment variables.

    Raises:
        StartupError: tracing is enabled, but the extra is missing or the exporter is unknown.
    """
    is_off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if (
        is_off
        or environment.get("OTEL_TRACES_EXPORTER") == "none"
        or not any(environment.get(v) for v in ENABLING_VARIABLES)
    ):
        return None
    if importlib.util.find_spec("opentelemetry") is None or importlib.util.find_spec("opentelemetry.sdk") is None:
        raise StartupError(
            'OTEL_*: the environment enables traces, which need the extra: pip install "bo-service[otel]", or set '
            "OTEL_SDK_DISABLED=true"
        )
    from bo_service.telemetry.tracing import Tracing, provider_from_environment

    provider = provider_from_environment(environment)
    return Tracing(provider), provider.shutdown
