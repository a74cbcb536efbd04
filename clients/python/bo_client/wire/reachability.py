"""Why a server can't be reached, and what to do: from what gRPC tells, and by a look at what listens there."""

import socket
import ssl
from dataclasses import dataclass
from typing import Literal

from bo_client.errors import ServerUnavailable
from bo_client.security import SCHEME, Security

PROBE = 2.0
"""Seconds that a probe may take."""
NO_SERVER = ("Connection refused", "No such file or directory", "Domain name not found", "errors resolving")
"""What gRPC says where nothing listens, or nothing has the name: a server may come yet."""


@dataclass(frozen=True)
class Cause:
    """Why a server can't be reached."""

    message: str
    reason: Literal["UNAVAILABLE", "NO_SERVER", "WRONG_CONNECTION"]
    """NO_SERVER where nothing listens; WRONG_CONNECTION where this client calls it in a way that can't succeed."""

    def error(self) -> ServerUnavailable:
        """To be raised."""
        return ServerUnavailable(self.message, self.reason)


def cause_of(details: str, address: str, security: Security) -> Cause:
    """What gRPC's `details` of an UNAVAILABLE call mean, for a connection on which no call has succeeded yet."""
    told = details.removesuffix(": OK").rpartition(": ")[2].rstrip("]")
    if any(sign in details for sign in NO_SERVER):
        how = "start one with `bo-service serve`, or give its address with server=…, --server or BO_SERVER"
        return Cause(f"no server listens at {address}; {how} ({told})", "NO_SERVER")
    if "WRONG_VERSION_NUMBER" in details:
        how = "leave out tls and ca (--no-tls, BO_TLS=0, no --ca and BO_CA), or give the port that does"
        return Cause(f"what listens at {address} does not speak TLS; {how}", "WRONG_CONNECTION")
    if "CERTIFICATE_VERIFY_FAILED" in details:
        trusted = f"the authority in {security.ca}" if security.ca else "an authority that this machine trusts"
        how = "give the file of its own authority with ca=…, --ca or BO_CA"
        return Cause(f"the certificate of {address} is not signed by {trusted}; {how} ({told})", "WRONG_CONNECTION")
    if "Hostname Verification" in details or "is not in peer certificate" in details:
        asked = security.server_name or address.rpartition(":")[0]
        how = "give the name it has with server_name=…, --server-name or BO_SERVER_NAME"
        return Cause(f"the certificate of {address} is not for the name {asked}; {how}", "WRONG_CONNECTION")
    if "Failed parsing HTTP/2" in details or "http1.x" in details:
        how = "give the port of `bo-service serve --listen`, not that of a dashboard or another program"
        return Cause(f"what listens at {address} does not speak gRPC; {how}", "WRONG_CONNECTION")
    return _closed(address, security) or Cause(
        f"no server answers at {address}; is it running, and is the address right? ({told})", "UNAVAILABLE"
    )


def _closed(address: str, security: Security) -> Cause | None:
    """For a connection that was closed before anything was said."""
    found = probe(address)
    if found and not security.tls:
        how = "give the file of its authority with ca=…, --ca or BO_CA; or tls=True, --tls or BO_TLS=1 for a public one"
        return Cause(f"the server at {address} speaks TLS; {how}", "WRONG_CONNECTION")
    if found == "certificate" and security.certificate is None:
        how = "give one with certificate=… and key=…, --cert and --key, or BO_CERT and BO_KEY"
        return Cause(f"the server at {address} asks for a client's certificate; {how}", "WRONG_CONNECTION")
    return None


def probe(address: str) -> Literal["tls", "certificate", ""]:
    """Whether what listens at the address speaks TLS, and whether it then closes for want of a client's certificate."""
    host, _, port = address.rpartition(":")
    if SCHEME.match(address):
        return ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE) as plain,
            context.wrap_socket(plain, server_hostname=host.strip("[]")) as secured,
        ):
            return "tls" if _greets(secured) else "certificate"
    except ssl.SSLError as error:
        return "tls" if "ALERT" in (error.reason or "").upper() else ""
    except OSError:
        return ""


def _greets(secured: ssl.SSLSocket) -> bool:
    """Whether a server begins to speak, as those of HTTP/2 do; one that wants a certificate closes."""
    try:
        return bool(secured.recv(1))
    except TimeoutError:
        return True
    except OSError:
        return False
