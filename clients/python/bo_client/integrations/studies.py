"""The server and the studies that an integration uses, one for each search space."""

from collections.abc import Sequence
from typing import Any

from bo_client.client import Client, connect
from bo_client.errors import AlreadyExists, InvalidRequest
from bo_client.models import Metric
from bo_client.settings import StudySettings
from bo_client.space import SearchSpace
from bo_client.study import Study

ONE_ATTEMPT: StudySettings = {"max_attempts": 1}
"""One attempt per trial, as the tool decides on retries."""


class StudyConnection:
    """A server given by address or client. It connects at the first use; a copy connects again."""

    def __init__(self, server: str | Client | None, study_id: str, settings: StudySettings | None = None) -> None:
        if not study_id:
            raise InvalidRequest.of("study_id", "is empty; name the study that the trials belong to")
        self.server = server
        self.study_id = study_id
        self.settings: StudySettings = {**ONE_ATTEMPT, **(settings or {})}
        self._client: Client | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_client": None}

    @property
    def client(self) -> Client:
        """The client.

        Raises:
            InvalidRequest: the address is invalid.
        """
        if isinstance(self.server, Client):
            return self.server
        if self._client is None:
            self._client = connect(self.server)
        return self._client

    def exactly(self, space: SearchSpace, metrics: Sequence[Metric]) -> Study:
        """Return the study with the id.

        Raises:
            AlreadyExists: it has another spec.
            InvalidRequest: the spec is invalid.
            ServerUnavailable: the server does not respond.
        """
        return self._create(self.study_id, space, metrics)

    def for_space(self, space: SearchSpace, metrics: Sequence[Metric]) -> Study:
        """Return the first study of ID, ID.2, ID.3 … with this space and these metrics; create it if none exists.

        Raises:
            AlreadyExists: a study has other objectives, or this space and these metrics but other settings.
        """
        number = 1
        while True:
            study_id = self.study_id if number == 1 else f"{self.study_id}.{number}"
            try:
                return self._create(study_id, space, metrics)
            except AlreadyExists:
                existing = self.client.study_info(study_id)
                objectives = tuple(metric for metric in metrics if metric.role == "objective")
                is_same = existing.space == space and set(existing.metrics) == set(metrics)
                if is_same or existing.objectives != objectives:
                    raise
                number += 1

    def _create(self, study_id: str, space: SearchSpace, metrics: Sequence[Metric]) -> Study:
        return self.client.create_study(study_id, space, list(metrics), **self.settings)
