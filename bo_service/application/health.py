"""Whether the database answers."""

from bo_service.application.context import AppContext
from bo_service.application.ports import Beat


def check_storage(app: AppContext) -> None:
    """Write a moment and read it. Raises StorageUnavailable where either fails."""
    at = app.clock.now()
    with app.store.write() as records:
        records.save_beat(Beat.STORAGE, at)
    with app.store.read() as records:
        records.last_beat(Beat.STORAGE)
