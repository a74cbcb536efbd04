"""Threads that prepare suggestions, a study each. They only wait: others compute."""

import logging
import threading

from bo_service.application.services import Services
from bo_service.core.errors import StorageUnavailable

logger = logging.getLogger("bo_service.preparing")
PAUSE_S = 1.0
ENDING_S = 5.0


class Preparers:
    """So many threads, from now on until stopped."""

    def __init__(self, services: Services, count: int) -> None:
        self._services = services
        self._stopped = threading.Event()
        names = [f"prepare-{i}" for i in range(count)]
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True) for name in names]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Returns when the threads have ended, or hang with the process that computes for them."""
        self._stopped.set()
        self._services.preparations.close()
        for thread in self._threads:
            thread.join(ENDING_S)

    def _run(self) -> None:
        while (study_id := self._services.preparations.next_study()) is not None:
            try:
                prepare(self._services, study_id)
            except StorageUnavailable as error:
                logger.warning("studies/%s isn't prepared for: %s", study_id, error.message)
                self._stopped.wait(PAUSE_S)
            except Exception:
                logger.exception("studies/%s isn't prepared for", study_id)


def prepare(services: Services, study_id: str) -> None:
    """Computes what is likely to be asked for next in a study, unless it is there."""
    services.preparations.prepare(services.store, services.memory, services.optimizer, study_id)
