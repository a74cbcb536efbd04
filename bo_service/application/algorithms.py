"""Algorithms that are installed beside the server: whether a study's own is there."""

from bo_service.domain.errors import AlgorithmNotInstalled, InvalidArgument
from bo_service.domain.study import Algorithm, Study, SuggestionSettings
from bo_service.optimizer.algorithms.custom import installed_algorithms

FIELD = "study.spec.suggestion.custom_algorithm"


def check_algorithm(settings: SuggestionSettings) -> None:
    """Check the algorithm that a study is created with, or changed to.

    Raises:
        InvalidArgument: it is not installed, or a name is given that nothing asks for.
    """
    name, kind = settings.custom_algorithm, settings.algorithm
    if kind is not Algorithm.CUSTOM:
        if name:
            what = f"is {name!r}, but algorithm is ALGORITHM_{kind.name}: choose ALGORITHM_CUSTOM, or clear this field"
            raise InvalidArgument.of(FIELD, f"{what}, which an update's mask must name")
    elif name not in installed_algorithms():
        fix = "install its package beside the server and restart it, or choose another algorithm"
        raise InvalidArgument.of(FIELD, f"is {name!r}; this server has {_available()}: {fix}")


def require_algorithm(study: Study) -> None:
    """Require the algorithm of a study that exists.

    Raises:
        AlgorithmNotInstalled: it is not installed on this server.
    """
    settings = study.spec.suggestion
    if settings.algorithm is Algorithm.CUSTOM and settings.custom_algorithm not in installed_algorithms():
        raise AlgorithmNotInstalled(
            f"{study.name} is served by the algorithm {settings.custom_algorithm!r}, which is not installed here; this "
            f"server has {_available()}: install its package beside the server and restart it, or choose another "
            "algorithm with UpdateStudy",
            study=study.name,
        )


def _available() -> str:
    own = (kind.value for kind in Algorithm if kind is not Algorithm.CUSTOM)
    return ", ".join((*own, *installed_algorithms()))
