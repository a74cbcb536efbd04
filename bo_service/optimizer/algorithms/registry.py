"""Algorithms by the kind that a study names."""

from collections.abc import Mapping
from typing import Protocol

from bo_service.domain.study import Algorithm
from bo_service.optimizer.algorithms.blind import BlindSearch
from bo_service.optimizer.algorithms.custom import Custom
from bo_service.optimizer.algorithms.gaussian_process import GaussianProcesses
from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.inputs import Suggestion


class SuggestionAlgorithm(Protocol):
    """Chooses the configurations to try next."""

    def suggest(self, encoded: EncodedData, count: int) -> list[Suggestion]:
        """Return up to `count` configurations, best first, all different from each other and from everything tried.

        Each is added to `encoded.evaluated`. There are fewer only where no further one is left, or found.
        """


ALGORITHMS: Mapping[Algorithm, SuggestionAlgorithm] = {
    Algorithm.GAUSSIAN_PROCESS: GaussianProcesses(),
    Algorithm.QUASI_RANDOM: BlindSearch(),
    Algorithm.RANDOM: BlindSearch(),
    Algorithm.GRID: BlindSearch(),
    Algorithm.CUSTOM: Custom(),
}
