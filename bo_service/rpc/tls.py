"""TLS certificates that can be replaced while the server runs."""

import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from bo_service.domain.errors import StartupError

logger = logging.getLogger("bo_service.tls")

FileStamps = tuple[tuple[int, int, int], ...]
"""For each file: inode, modification time, size."""
MISSING: FileStamps = ()


@dataclass(frozen=True)
class _Loaded:
    stamp: FileStamps
    configuration: grpc.ServerCertificateConfiguration


class CertificateFiles:
    """A certificate, its key, and optionally the authority of clients, checked for changes at each handshake.

    Changed files apply to the next connection. If they are broken or do not match each other, the old ones stay in use
    and an error is logged.

    Raises:
        StartupError: the files cannot be used.
    """

    def __init__(self, certificate: Path, key: Path, client_authority: Path | None = None) -> None:
        self._certificate = certificate
        self._key = key
        self._authority = client_authority
        try:
            self._loaded = self._load()
        except (OSError, ValueError) as error:
            raise StartupError(f"--tls-cert, --tls-key: {error}; give files in PEM that belong together") from error
        self._rejected: FileStamps | None = None

    @property
    def credentials(self) -> grpc.ServerCredentials:
        """Credentials for a port."""
        credentials: grpc.ServerCredentials = grpc.dynamic_ssl_server_credentials(
            self._loaded.configuration,
            self.load_changes,  # type: ignore[arg-type]  # None says that nothing has changed
            require_client_authentication=self._authority is not None,
        )
        return credentials

    def load_changes(self) -> grpc.ServerCertificateConfiguration | None:
        """Return the new configuration if the files have changed and can be used, else None."""
        try:
            stamps = self._stamp()
        except OSError:
            stamps = MISSING
        if stamps in (self._loaded.stamp, self._rejected):
            return None
        self._rejected = stamps
        try:
            self._loaded = self._load()
        except (OSError, ValueError) as error:
            logger.error("the new certificate files cannot be used (%s); the old ones stay in use", error)
            return None
        self._rejected = None
        logger.info("loaded the new certificate from %s", self._certificate)
        return self._loaded.configuration

    def _load(self) -> _Loaded:
        stamps = self._stamp()
        self._check()
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        authority = self._authority.read_bytes() if self._authority else None
        if self._stamp() != stamps:
            raise ValueError("the files are being replaced")
        return _Loaded(stamps, grpc.ssl_server_certificate_configuration([pair], authority))

    def _check(self) -> None:
        """Check the files, as gRPC would report a problem only at the first handshake and without details.

        Raises:
            ValueError: a file cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(
                f"{self._certificate} and {self._key} are not a matching certificate and key: {error}"
            ) from error
        if self._authority is not None:
            try:
                context.load_verify_locations(self._authority)
            except ssl.SSLError as error:
                raise ValueError(f"{self._authority} contains no CA certificate: {error}") from error

    def _stamp(self) -> FileStamps:
        files = [self._certificate, self._key, *([self._authority] if self._authority else [])]
        return tuple((s.st_ino, s.st_mtime_ns, s.st_size) for s in (f.stat() for f in files))


def _no_password() -> str:
    raise ValueError("the key is encrypted; provide it without a password")
