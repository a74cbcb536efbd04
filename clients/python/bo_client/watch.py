"""The stream of a study's changes, which resumes after interruptions."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bo_api.v1 import optimization_service_pb2 as pb

from bo_client.errors import LimitExceeded, ServerUnavailable
from bo_client.models import Change
from bo_client.retries import FIRST_DELAY, MAX_DELAY_FACTOR, SILENCE_WARNING_S, delays, is_hopeless, logger, spread
from bo_client.wire import codec

if TYPE_CHECKING:
    from bo_client.wire.transport import Transport


def watch(
    transport: "Transport", request: pb.WatchStudyRequest, patience: float, waits_for_server: bool = True
) -> Iterator[Change]:
    """Yield changes from the request's revision on.

    Raises:
        ServerUnavailable: the server did not respond for `patience` seconds.
    """
    last_message, waits, pauses = time.monotonic(), delays(), spread(MAX_DELAY_FACTOR)
    logged_silence = 0.0
    while True:
        try:
            for message in transport.stream("WatchStudy", request):
                assert isinstance(message, pb.WatchStudyResponse)
                last_message, waits, pauses = time.monotonic(), delays(), spread(MAX_DELAY_FACTOR)
                if message.revision != request.after_revision:  # lower where another study took the name
                    request.after_revision = message.revision
                    yield codec.change_from_wire(message)
            raise ServerUnavailable("the server ended the stream, as it does when it shuts down")
        except LimitExceeded as error:  # too many watches or calls at the moment
            if error.retry_delay is None:
                raise
            delay = max(FIRST_DELAY, error.retry_delay) * next(pauses)
            if time.monotonic() + delay > last_message + patience:
                raise
            time.sleep(delay)
        except ServerUnavailable as error:
            delay = next(waits)
            now = time.monotonic()
            if now + delay > last_message + patience or is_hopeless(error, waits_for_server):
                raise
            if now - last_message >= SILENCE_WARNING_S and logged_silence != last_message:
                logged_silence = last_message
                logger.warning("%s; retrying for %.0f s", error, last_message + patience - now)
            time.sleep(delay)
