"""The connections: a limit on their number, and a deadline for each thing that the client must do.

A client has deadlines for the TLS handshake, the head of a request, and the reading of a response. A request in
progress has none. If there are too many connections, one without a request in progress is closed for a new one: the
oldest of the address with the most connections.
"""

import asyncio
import logging
import ssl
from collections import Counter
from enum import IntEnum
from itertools import islice
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

logger = logging.getLogger("bo_dashboard.connections")

HANDSHAKE_S = 10.0
HEAD_S = 10.0
"""Seconds for the head of a request, from the beginning of the connection or the end of the previous response."""
IDLE_S = 5
"""Seconds for which an idle connection is kept open."""
STALL_S, MIN_BYTES_PER_S = 20.0, 2048.0
"""Seconds for reading a response, plus one second for each `MIN_BYTES_PER_S` waiting to be sent."""
MAX_HEAD_BYTES = 32 * 1024
"""Maximum bytes of a request's head."""
NUM_CANDIDATES = 64
"""Number of the oldest connections considered for closing; the one whose address has the most is closed."""
TOO_MANY_BODY = b'{"code":"unavailable","message":"too many requests are in progress; try again in a moment"}'
TOO_MANY_RESPONSE = b"\r\n".join(
    (
        b"HTTP/1.1 503 Service Unavailable",
        b"content-type: application/json",
        b"content-length: %d" % len(TOO_MANY_BODY),
        b"connection: close",
        b"",
        TOO_MANY_BODY,
    )
)


class ConnectionPhase(IntEnum):
    """The phase of a connection. If there are too many, those in the first phases are closed first."""

    SILENT = 0
    """No complete request was received, or none that was accepted."""
    IDLE = 1
    """Between requests."""
    STALLED = 2
    """The client does not read its response."""
    ANSWERING = 3
    """A request is in progress; the connection is never closed for others."""


class HttpConnection:
    """A connection, from its acceptance on."""

    def __init__(self, owner: "OpenConnections", transport: asyncio.Transport) -> None:
        peer = transport.get_extra_info("peername")
        self.transport = transport
        self.address = str(peer[0]) if peer else ""
        self.phase = ConnectionPhase.SILENT
        self.deadline: float | None = None
        self._owner = owner

    def enter(self, phase: ConnectionPhase, seconds: float | None = None) -> None:
        """Set the phase.

        Args:
            phase: the new phase.
            seconds: seconds until the deadline; None for no deadline.
        """
        self.deadline = None if seconds is None else asyncio.get_running_loop().time() + seconds
        self._owner.move(self, phase)


class OpenConnections:
    """The open connections by phase."""

    def __init__(self, max_connections: int) -> None:
        self.max_connections = max_connections
        self._phases: dict[ConnectionPhase, dict[HttpConnection, None]] = {phase: {} for phase in ConnectionPhase}
        """Connections in the order in which they entered the phase."""
        self._addresses: Counter[str] = Counter()

    def begin(self, transport: asyncio.Transport) -> HttpConnection | None:
        """Count a new connection; return None if there is no room for it."""
        if sum(map(len, self._phases.values())) >= self.max_connections and not self._make_room():
            return None
        connection = HttpConnection(self, transport)
        self._phases[connection.phase][connection] = None
        self._addresses[connection.address] += 1
        return connection

    def move(self, connection: HttpConnection, phase: ConnectionPhase) -> None:
        """Move a connection to a phase."""
        if self._phases[connection.phase].pop(connection, self) is not self:
            connection.phase = phase
            self._phases[phase][connection] = None

    def end(self, connection: HttpConnection) -> None:
        """Remove a connection that has ended."""
        if self._phases[connection.phase].pop(connection, self) is not self:
            self._addresses[connection.address] -= 1
            if not self._addresses[connection.address]:
                del self._addresses[connection.address]

    def sweep(self) -> None:
        """Close the connections whose deadline has passed."""
        now = asyncio.get_running_loop().time()
        for phase in self._phases.values():
            for connection in [c for c in phase if c.deadline is not None and now > c.deadline]:
                self._abort(connection)

    def _make_room(self) -> bool:
        for phase in (ConnectionPhase.SILENT, ConnectionPhase.IDLE, ConnectionPhase.STALLED):
            if self._phases[phase]:
                oldest = islice(self._phases[phase], NUM_CANDIDATES)
                self._abort(max(oldest, key=lambda each: self._addresses[each.address]))
                return True
        return False

    def _abort(self, connection: HttpConnection) -> None:
        self.end(connection)
        connection.transport.abort()


class TimedProtocol(H11Protocol):
    """The HTTP protocol of uvicorn, which reports the phase of its connection."""

    connection: HttpConnection
    connections: Any  # uvicorn's own, by its name

    def __init__(self, config: uvicorn.Config, server_state: Any, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self._early = b""

    def begin(
        self, transport: asyncio.Transport, open_connections: OpenConnections, connection: HttpConnection
    ) -> None:
        """Serve a connection, with TLS after its handshake."""
        self._open_connections, self.connection = open_connections, connection
        connection.enter(ConnectionPhase.SILENT, HEAD_S)
        self.connection_made(transport)
        if self._early:
            self.data_received(self._early)

    def data_received(self, data: bytes) -> None:
        """Read data; those that arrive with the end of a handshake are kept for `begin`."""
        if self.transport is None:
            self._early += data
        elif not self.transport.is_closing():
            super().data_received(data)

    def handle_events(self) -> None:
        """Handle events, and note that a request is in progress once its head is complete."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before and not self.cycle.response_complete:
            self.connection.enter(ConnectionPhase.ANSWERING)

    def on_response_complete(self) -> None:
        """Wait for the next request, or the rest of one that was rejected before its body was complete."""
        is_over = self.conn.their_state is h11.DONE
        self.connection.enter(ConnectionPhase.IDLE if is_over else ConnectionPhase.SILENT, HEAD_S + self._unsent_s())
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Set a deadline for the reading of the response."""
        super().pause_writing()
        if self.connection.phase is ConnectionPhase.ANSWERING:
            self.connection.enter(ConnectionPhase.STALLED, STALL_S + self._unsent_s())

    def resume_writing(self) -> None:
        """Remove the deadline for the reading of the response."""
        super().resume_writing()
        if self.connection.phase is ConnectionPhase.STALLED:
            self.connection.enter(ConnectionPhase.ANSWERING)

    def send_400_response(self, msg: str) -> None:
        """Reject invalid HTTP; if a response has begun already, close the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()
        self.connection.enter(ConnectionPhase.SILENT, HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection."""
        if self.transport is not None:  # else it was lost at the end of its handshake, before `begin`
            self._open_connections.end(self.connection)
            super().connection_lost(exc)

    def _unsent_s(self) -> float:
        return self.transport.get_write_buffer_size() / MIN_BYTES_PER_S


class AcceptingProtocol(asyncio.Protocol):
    """A protocol for accepted connections: each is counted, and then encrypted if TLS is configured."""

    def __init__(self, server: "Server") -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, or reject it if there are too many."""
        assert isinstance(transport, asyncio.Transport)
        connection = self._server.open_connections.begin(transport)
        if connection is None:
            max_connections = self._server.open_connections.max_connections
            logger.warning("rejected a connection: %d others have a request in progress", max_connections)
            if self._server.config.ssl is None:
                transport.write(TOO_MANY_RESPONSE)
            transport.close()
            return
        protocol = TimedProtocol(self._server.config, self._server.server_state, self._server.lifespan.state)
        if self._server.config.ssl is None:
            transport.set_protocol(protocol)
            protocol.begin(transport, self._server.open_connections, connection)
            return
        connection.enter(ConnectionPhase.SILENT, HANDSHAKE_S)
        transport.pause_reading()  # until the handshake reads
        self._server.keep(asyncio.ensure_future(self._encrypt(transport, connection, protocol)))

    async def _encrypt(self, transport: asyncio.Transport, connection: HttpConnection, protocol: TimedProtocol) -> None:
        context = self._server.config.ssl
        assert context is not None
        try:
            loop = asyncio.get_running_loop()
            encrypted = await loop.start_tls(
                transport, protocol, context, server_side=True, ssl_handshake_timeout=HANDSHAKE_S
            )
        except (OSError, ssl.SSLError) as error:
            logger.info("a TLS handshake with %s failed: %s", connection.address, " ".join(str(error).split()))
            self._server.open_connections.end(connection)
            transport.abort()
            return
        if encrypted is None or encrypted.is_closing():
            self._server.open_connections.end(connection)
            return
        protocol.begin(encrypted, self._server.open_connections, connection)


class Server(uvicorn.Server):
    """A uvicorn server that counts connections from their acceptance on."""

    def __init__(self, config: uvicorn.Config, max_connections: int, backlog: int) -> None:
        super().__init__(config)
        self.open_connections = OpenConnections(max_connections)
        self._backlog = backlog
        self._handshakes: set[asyncio.Future[None]] = set()

    def keep(self, handshake: "asyncio.Future[None]") -> None:
        """Keep a reference to a handshake until it ends."""
        self._handshakes.add(handshake)
        handshake.add_done_callback(self._handshakes.discard)

    async def startup(self, sockets: Any = None) -> None:
        """Listen on the sockets."""
        await super().startup(sockets=[])
        loop = asyncio.get_running_loop()
        for each in sockets or []:
            self.servers.append(
                await loop.create_server(lambda: AcceptingProtocol(self), sock=each, backlog=self._backlog)
            )

    async def on_tick(self, counter: int) -> bool:
        """Check the deadlines a few times per second."""
        self.open_connections.sweep()
        return await super().on_tick(counter)
