"""The connection to a server: TLS and token.

Environment variables replace omitted arguments:

    BO_SERVER                    HOST:PORT of the server
    BO_TOKEN, BO_TOKEN_FILE      the token, or a file that holds it
    BO_TLS                       1: use TLS with gRPC's default certificate authorities
    BO_CA                        file with the certificate authority of the server, in PEM; implies TLS
    BO_CERT, BO_KEY              files with a client certificate and its key, in PEM; implies TLS
    BO_SERVER_NAME               name in the server's certificate, if it differs from the host
    BO_PLAINTEXT_TOKEN           1: allow sending the token without TLS
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bo_client.errors import InvalidRequest

if TYPE_CHECKING:
    import grpc

DEFAULT_SERVER = "127.0.0.1:50051"
TOKEN = re.compile(r"[!-~]{1,4096}")
SCHEME = re.compile(r"(?:unix|unix-abstract|dns|ipv4|ipv6|vsock|xds):")
"""Schemes of other addresses that gRPC supports."""
YES, NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")


@dataclass(frozen=True)
class Security:
    """The TLS settings and the token of a client. The token appears in no repr and no message."""

    token: str | None = field(default=None, repr=False)
    tls: bool = False
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str | None = None
    plaintext_token: bool = False
    """Whether the token may be sent to another machine without TLS."""

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            InvalidRequest: they are inconsistent.
        """
        if self.token is not None and not TOKEN.fullmatch(self.token):
            raise InvalidRequest.of(
                "token", "is empty or contains characters that tokens never contain, such as spaces"
            )
        if (self.certificate is None) != (self.key is None):
            missing = "key" if self.key is None else "certificate"
            raise InvalidRequest.of(missing, "is missing; give a certificate together with its key")

    def check(self, address: str) -> None:
        """Check that the token is not sent to another machine unencrypted.

        Raises:
            InvalidRequest: it would be.
        """
        if self.token is not None and not (self.tls or self.plaintext_token or is_local(address)):
            raise InvalidRequest.of(
                "token",
                f"would be sent to {address} unencrypted; use TLS (ca=…, --ca, BO_CA; or tls=True, --tls, "
                "BO_TLS), or allow it with plaintext_token=True, --plaintext-token, BO_PLAINTEXT_TOKEN=1",
            )

    def credentials(self) -> "grpc.ChannelCredentials | None":
        """Return the credentials of a channel; None without TLS.

        Raises:
            InvalidRequest: a file cannot be read.
        """
        if not self.tls:
            return None
        import grpc  # only those who call a server load it

        ca, certificate = _pem("ca", self.ca, b"CERTIFICATE"), _pem("certificate", self.certificate, b"CERTIFICATE")
        return grpc.ssl_channel_credentials(ca, _pem("key", self.key, b"PRIVATE KEY"), certificate)


def security_from(
    *,
    token: str | None = None,
    token_file: str | Path | None = None,
    tls: bool | None = None,
    ca: str | Path | None = None,
    certificate: str | Path | None = None,
    key: str | Path | None = None,
    server_name: str | None = None,
    plaintext_token: bool | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Security:
    """Return the settings from arguments, with environment variables for omitted ones.

    Raises:
        InvalidRequest: a setting is invalid.
    """
    if token is None and token_file is None:
        token = environment.get("BO_TOKEN") or None
        token_file = environment.get("BO_TOKEN_FILE") if token is None else None
    if token is None and token_file:
        token = (_read("token_file", Path(token_file)) or b"").decode(errors="replace").strip()
    files = {"BO_CA": ca, "BO_CERT": certificate, "BO_KEY": key}
    file_names = {name: file_name or environment.get(name) or None for name, file_name in files.items()}
    paths = {name: None if file_name is None else Path(file_name) for name, file_name in file_names.items()}
    if tls is None:
        tls = _flag("BO_TLS", environment) or any(path is not None for path in paths.values())
    if plaintext_token is None:
        plaintext_token = _flag("BO_PLAINTEXT_TOKEN", environment)
    name = server_name or environment.get("BO_SERVER_NAME") or None
    return Security(token, tls, paths["BO_CA"], paths["BO_CERT"], paths["BO_KEY"], name, plaintext_token)


def address_from(server: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the address, BO_SERVER, or the default.

    Raises:
        InvalidRequest: the address is invalid.
    """
    address = (environment.get("BO_SERVER") or DEFAULT_SERVER) if server is None else server
    if not isinstance(address, str):
        raise InvalidRequest.of("server", f"is {address!r}; give HOST:PORT as text, such as {DEFAULT_SERVER}")
    check_address(address)
    return address


def check_address(address: str) -> None:
    """Check that the address is HOST:PORT, `unix:PATH` or of another scheme of gRPC.

    Raises:
        InvalidRequest: it is not.
    """
    scheme, separator, rest = address.partition("://")
    if separator and scheme.lower() in ("http", "https", "grpc", "grpcs"):
        tls = ", with ca=…, --ca or BO_CA for TLS" if scheme.lower() in ("https", "grpcs") else ""
        raise InvalidRequest.of("server", f"is {address!r}; give HOST:PORT alone, such as {rest.rstrip('/')}{tls}")
    host, colon, port = address.rpartition(":")
    is_port = bool(colon and host) and port.isascii() and port.isdecimal() and 0 < int(port) < 65536
    if not SCHEME.match(address) and not is_port:
        raise InvalidRequest.of("server", f"is {address!r}; give HOST:PORT, such as {DEFAULT_SERVER}")


def is_local(address: str) -> bool:
    """Return whether an address, HOST:PORT or `unix:PATH`, is on this machine."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _flag(name: str, environment: Mapping[str, str]) -> bool:
    text = environment.get(name, "").lower()
    if text not in (*YES, *NO):
        raise InvalidRequest.of(name, f"is {text!r}; give 1 or 0")
    return text in YES


def _pem(name: str, path: Path | None, kind: bytes) -> bytes | None:
    """Return the content of a PEM file.

    Raises:
        InvalidRequest: it cannot be read, or contains no such PEM block.
    """
    content = _read(name, path)
    if content is not None and not re.search(rb"^-----BEGIN [A-Z0-9 ]*" + kind + rb"-----", content, re.MULTILINE):
        what = kind.decode().lower()
        raise InvalidRequest.of(
            name, f"{path} holds no {what} in PEM; give a file with `-----BEGIN {kind.decode()}-----`"
        )
    return content


def _read(name: str, path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidRequest.of(name, f"{path} cannot be read: {error.strerror}") from error
