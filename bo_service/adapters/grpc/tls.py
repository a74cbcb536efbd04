"""Certificates that can be replaced while the server runs."""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from bo_service.core.errors import StartupError

logger = logging.getLogger("bo_service.tls")

Stamp = tuple[tuple[int, int, int], ...]
"""Of each file: inode, time of change, size."""
MISSING: Stamp = ()


@dataclass(frozen=True)
class _Loaded:
    stamp: Stamp
    configuration: grpc.ServerCertificateConfiguration


class CertificateFiles:
    """A certificate, its key, and perhaps the authority of clients; looked at again at each handshake.

    Files that have changed and are whole are taken at the next connection; those that are broken, or don't fit each
    other, leave the old ones in use and a line in the log.

    Raises:
        StartupError: they can't be used as they are now.
    """

    def __init__(self, certificate: Path, key: Path, client_authority: Path | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._authority = client_authority
        try:
            self._loaded = self._load()
        except (OSError, ValueError) as error:
            raise StartupError(f"--tls-cert, --tls-key: {error}; give files in PEM that belong together") from error
        self._refused: Stamp | None = None

    @property
    def credentials(self) -> grpc.ServerCredentials:
        """For a port."""
        credentials: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
            self._loaded.configuration,
            self.renewed,  # type: ignore[arg-type]  # None says that nothing has changed
            require_client_authentication=self._authority is not None,
        )
        return credentials

    def renewed(self) -> grpc.ServerCertificateConfiguration | None:
        """What has changed since it was last asked; None where that is nothing that can be used."""
        try:
            stamp = self._stamp()
        except OSError:
            stamp = MISSING
        if stamp in (self._loaded.stamp, self._refused):
            return None
        self._refused = stamp
        try:
            self._loaded = self._load()
        except (OSError, ValueError) as error:
            logger.error("the new certificate files can't be used (%s); the old ones stay in use", error)
            return None
        self._refused = None
        logger.info("took the new certificate from %s", self._certificate)
        return self._loaded.configuration

    def _load(self) -> _Loaded:
        stamp = self._stamp()
        self._check()
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        authority = self._authority.read_bytes() if self._authority else None
        if self._stamp() != stamp:
            raise ValueError("the files are being replaced")
        return _Loaded(stamp, grpc.ssl_server_certificate_configuration([pair], authority))

    def _check(self) -> None:
        """gRPC would notice at the first handshake, and say nothing of use."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(f"{self._certificate} and {self._key} are no certificate and its key: {error}") from error
        if self._authority is not None:
            try:
                context.load_verify_locations(self._authority)
            except ssl.SSLError as error:
                raise ValueError(f"{self._authority} holds no certificate of an authority: {error}") from error

    def _stamp(self) -> Stamp:
        files = [self._certificate, self._key, *([self._authority] if self._authority else [])]
        return tuple((s.st_ino, s.st_mtime_ns, s.st_size) for s in (f.stat() for f in files))


def _no_password() -> str:
    raise ValueError("the key is encrypted; give it without a password")
