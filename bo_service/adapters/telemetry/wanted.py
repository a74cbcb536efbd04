"""Whether traces are asked for: by OpenTelemetry's own variables, with the extra `otel` installed."""

import importlib.util
import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from bo_service.core.errors import StartupError

if TYPE_CHECKING:
    from bo_service.adapters.telemetry.tracing import Tracing

logger = logging.getLogger("bo_service.tracing")

ASKING = ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def tracing_from_environment(
    environment: Mapping[str, str] = os.environ,
) -> "tuple[Tracing, Callable[[], None]] | None":
    """The instrument, and how to send what it still holds; None where nobody asks for traces.

    Raises:
        StartupError: they are asked for, and the extra is missing, or the exporter isn't known.
    """
    is_off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if is_off or environment.get("OTEL_TRACES_EXPORTER") == "none" or not any(environment.get(v) for v in ASKING):
        return None
    if importlib.util.find_spec("opentelemetry") is None or importlib.util.find_spec("opentelemetry.sdk") is None:
        raise StartupError(
            'OTEL_*: the environment asks for traces, which need more: pip install "bo-service[otel]", or set '
            "OTEL_SDK_DISABLED=true"
        )
    from bo_service.adapters.telemetry.tracing import Tracing, provider_from_environment

    provider = provider_from_environment(environment)
    return Tracing(provider), provider.shutdown
