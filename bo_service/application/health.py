"""Whether the database answers."""

from bo_service.application.services import Services


def check_storage(services: Services) -> None:
    """Writes a moment and reads it. Raises StorageUnavailable where either fails."""
    at = services.clock.now()
    with services.store.write() as records:
        records.health.beat(at)
    with services.store.read() as records:
        records.health.last_beat()
