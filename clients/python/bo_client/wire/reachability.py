"""The cause of a failed connection, from gRPC's message and a probe of the address."""

import socket
import ssl
from dataclasses import dataclass
from typing import Literal

from bo_client.errors import ServerUnavailable
from bo_client.security import SCHEME, Security

PROBE_TIMEOUT_S = 2.0
"""Seconds of a probe."""
NO_SERVER = ("Connection refused", "No such file or directory", "Domain name not found", "errors resolving")
"""Messages of gRPC if nothing listens, or the name does not resolve: a server may still be started."""


@dataclass(frozen=True)
class Cause:
    """The cause of a failed connection."""

    message: str
    reason: Literal["UNAVAILABLE", "NO_SERVER", "WRONG_CONNECTION"]
    """NO_SERVER if nothing listens; WRONG_CONNECTION if this client's settings can never succeed."""

    def error(self) -> ServerUnavailable:
        """Return the error to raise."""
        return ServerUnavailable(self.message, self.reason)


def cause_of(details: str, address: str, security: Security) -> Cause:
    """Return the cause of an UNAVAILABLE call, on a connection without any successful call.

    Args:
        details: gRPC's message.
        address: the server's address.
        security: the client's settings.
    """
    message = details.removesuffix(": OK").rpartition(": ")[2].rstrip("]")
    if any(sign in details for sign in NO_SERVER):
        fix = "start one with `bo serve`, or give its address with server=…, --server or BO_SERVER"
        return Cause(f"no server listens at {address}; {fix} ({message})", "NO_SERVER")
    if "WRONG_VERSION_NUMBER" in details:
        fix = "leave out tls and ca (--no-tls, BO_TLS=0, no --ca and BO_CA), or give the port that does"
        return Cause(f"what listens at {address} does not speak TLS; {fix}", "WRONG_CONNECTION")
    if "CERTIFICATE_VERIFY_FAILED" in details:
        trusted = f"the authority in {security.ca}" if security.ca else "an authority that this machine trusts"
        fix = "give the file of its own authority with ca=…, --ca or BO_CA"
        return Cause(f"the certificate of {address} is not signed by {trusted}; {fix} ({message})", "WRONG_CONNECTION")
    if "Hostname Verification" in details or "is not in peer certificate" in details:
        expected_name = security.server_name or address.rpartition(":")[0]
        fix = "give the name it has with server_name=…, --server-name or BO_SERVER_NAME"
        return Cause(f"the certificate of {address} is not for the name {expected_name}; {fix}", "WRONG_CONNECTION")
    if "Failed parsing HTTP/2" in details or "http1.x" in details:
        fix = "give the port of `bo serve --listen`, not that of a dashboard or another program"
        return Cause(f"what listens at {address} does not speak gRPC; {fix}", "WRONG_CONNECTION")
    return _closed(address, security) or Cause(
        f"no server answers at {address}; start one with `bo serve`, or check the address ({message})", "UNAVAILABLE"
    )


def _closed(address: str, security: Security) -> Cause | None:
    """Return the cause if the connection was closed before any data."""
    probed = probe(address)
    if probed and not security.tls:
        fix = "give the file of its authority with ca=…, --ca or BO_CA; or tls=True, --tls or BO_TLS=1 for a public one"
        return Cause(f"the server at {address} speaks TLS; {fix}", "WRONG_CONNECTION")
    if probed == "certificate" and security.certificate is None:
        fix = "give one with certificate=… and key=…, --cert and --key, or BO_CERT and BO_KEY"
        return Cause(f"the server at {address} asks for a client's certificate; {fix}", "WRONG_CONNECTION")
    return None


def probe(address: str) -> Literal["tls", "certificate", ""]:
    """Return whether the address speaks TLS, and whether it then closes for lack of a client certificate."""
    host, _, port = address.rpartition(":")
    if SCHEME.match(address):
        return ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host.strip("[]")) as secured,
        ):
            return "tls" if _greets(secured) else "certificate"
    except ssl.SSLError as error:
        return "tls" if "ALERT" in (error.reason or "").upper() else ""
    except OSError:
        return ""


def _greets(secured: ssl.SSLSocket) -> bool:
    """Return whether a server sends data first, as HTTP/2 servers do; one that requires a certificate closes."""
    try:
        return bool(secured.recv(1))
    except TimeoutError:
        return True
    except OSError:
        return False
