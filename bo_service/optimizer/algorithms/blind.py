"""The algorithms that choose without regard to results: quasi-random, random and grid search."""

from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.initial_design import without_surrogate
from bo_service.optimizer.inputs import Suggestion


class BlindSearch:
    """The study's sequence: the defaults and scrambled Sobol points, uniform draws, or the points of its grid."""

    def suggest(self, encoded: EncodedData, count: int) -> list[Suggestion]:
        """Return the next points of the sequence; see `SuggestionAlgorithm`."""
        return without_surrogate(encoded, count)
