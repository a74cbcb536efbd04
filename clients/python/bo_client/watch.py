"""Watching a study: a stream that goes on where it broke."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bo_api.v1 import optimization_service_pb2 as pb

from bo_client.errors import ServerUnavailable
from bo_client.retries import SILENT_FOR, delays, is_hopeless, logger
from bo_client.values import Change
from bo_client.wire import codec

if TYPE_CHECKING:
    from bo_client.wire.transport import Transport


def watch(
    transport: "Transport", request: pb.WatchStudyRequest, patience: float, waits_for_server: bool = True
) -> Iterator[Change]:
    """Changes from the request's revision on. Raises ServerUnavailable after `patience` seconds without an answer."""
    heard, waits = time.monotonic(), delays()
    told_of = 0.0
    while True:
        try:
            for message in transport.stream("WatchStudy", request):
                assert isinstance(message, pb.WatchStudyResponse)
                heard, waits = time.monotonic(), delays()
                if message.revision != request.after_revision:  # lower where another study took the name
                    request.after_revision = message.revision
                    yield codec.change_from_wire(message)
            raise ServerUnavailable("the server has ended the stream, as it does when it shuts down")
        except ServerUnavailable as error:
            delay = next(waits)
            now = time.monotonic()
            if now + delay > heard + patience or is_hopeless(error, waits_for_server):
                raise
            if now - heard >= SILENT_FOR and told_of != heard:
                told_of = heard
                logger.warning("%s; trying again for %.0f s", error, heard + patience - now)
            time.sleep(delay)
