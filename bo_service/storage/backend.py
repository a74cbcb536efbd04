"""What a storage backend registers: how the databases of its addresses are opened and looked after."""

from abc import ABC, abstractmethod
from pathlib import Path

from bo_service.application.ports import Store
from bo_service.domain.errors import StartupError
from bo_service.storage.upgrade import Migration


class Backend(ABC):
    """Opens databases. A subclass writes `open`; the rest is refused unless it writes that too.

    Every method takes the whole address, as `--storage` gives it, and raises StartupError where it can't be done.
    """

    @abstractmethod
    def open(self, address: str) -> Store:
        """Open the database, bring it to the newest schema, and return its store, to be closed."""

    def label(self, address: str) -> str:
        """Return the address for messages, without secrets."""
        return address

    def migrate(self, address: str) -> Migration:
        """Bring the database to the newest schema and return what was done."""
        raise self._unsupported(address, "has no schema to migrate")

    def pending_migration(self, address: str) -> Migration:
        """Return what `open` would do to the tables. Nothing is changed, and a server may have the database open."""
        raise self._unsupported(address, "has no schema to migrate")

    def backup(self, address: str, target: Path) -> None:  # noqa: ARG002
        """Copy the database as it is at one moment into a new file. A server may have it open."""
        raise self._unsupported(address, "can't be copied into a file")

    def restore(self, address: str, source: Path, replace: bool) -> None:  # noqa: ARG002
        """Make the database what a backup holds; `replace` allows to overwrite one."""
        raise self._unsupported(address, "can't be restored from a file")

    def _unsupported(self, address: str, why: str) -> StartupError:
        return StartupError(f"--storage: {self.label(address)} {why}")
