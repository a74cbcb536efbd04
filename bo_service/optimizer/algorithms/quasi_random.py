"""The algorithm that fills the space, without regard to results."""

from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.initial_design import without_surrogate
from bo_service.optimizer.inputs import Suggestion


class QuasiRandom:
    """The defaults, what did best in earlier studies, then scrambled Sobol points."""

    def suggest(self, encoded: EncodedData, count: int) -> list[Suggestion]:
        """Return the next points of the sequence; see `SuggestionAlgorithm`."""
        return without_surrogate(encoded, count)
