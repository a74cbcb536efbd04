"""Where a tool's trials go: a server, and a study there for each search space."""

from collections.abc import Sequence
from typing import Any

from bo_client.client import Client, connect
from bo_client.errors import AlreadyExists, InvalidRequest
from bo_client.settings import StudySettings
from bo_client.space import SearchSpace
from bo_client.study import Study
from bo_client.values import Metric

ONE_ATTEMPT: StudySettings = {"max_attempts": 1}
"""Whether a trial is tried again is for the tool to say: a trial of its is one of ours."""


class Studies:
    """The server at an address, or behind a client. Connects when it is first needed; a copy connects anew."""

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
        """Raises InvalidRequest where the address is none."""
        if isinstance(self.server, Client):
            return self.server
        if self._client is None:
            self._client = connect(self.server)
        return self._client

    def exactly(self, space: SearchSpace, metrics: Sequence[Metric]) -> Study:
        """The study of that id. Raises AlreadyExists where it has another spec, InvalidRequest, ServerUnavailable."""
        return self._create(self.study_id, space, metrics)

    def for_space(self, space: SearchSpace, metrics: Sequence[Metric]) -> Study:
        """The study of that id, or the first of ID.2, ID.3 …, that has this space and these metrics or isn't there yet.

        Raises:
            AlreadyExists: there is one with other objectives, or with this space and these metrics but other settings.
        """
        number = 1
        while True:
            study_id = self.study_id if number == 1 else f"{self.study_id}.{number}"
            try:
                return self._create(study_id, space, metrics)
            except AlreadyExists:
                found = self.client.study_info(study_id)
                objectives = tuple(metric for metric in metrics if metric.role == "objective")
                is_same = found.space == space and set(found.metrics) == set(metrics)
                if is_same or found.objectives != objectives:
                    raise
                number += 1

    def _create(self, study_id: str, space: SearchSpace, metrics: Sequence[Metric]) -> Study:
        return self.client.create_study(study_id, space, list(metrics), **self.settings)
