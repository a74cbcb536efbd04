"""Acquisition functions by name: every `NamedAcquisition` in a module of this package."""

import pkgutil
from importlib import import_module

from bo_service.optimizer import acquisition
from bo_service.optimizer.acquisition.base import NamedAcquisition, TotalAcquisition
from bo_service.optimizer.acquisition.fitted_models import FittedModels

for _module in pkgutil.iter_modules(acquisition.__path__, f"{acquisition.__name__}."):
    import_module(_module.name)


def find_acquisition(name: str) -> type[NamedAcquisition]:
    """Return the acquisition function of that name.

    Raises:
        LookupError: no module of this package declares one.
    """
    if name not in NamedAcquisition.by_name:
        there = ", ".join(sorted(NamedAcquisition.by_name))
        raise LookupError(f"there is no acquisition function {name!r}; {acquisition.__name__} has {there}")
    return NamedAcquisition.by_name[name]


def build_acquisition(models: FittedModels) -> TotalAcquisition:
    """Return the acquisition function of a study: what its settings name, with feasibility and cost.

    By default it is the hypervolume improvement for several objectives, and for one the expected improvement, over
    draws of the best so far where there is noise.
    """
    chosen = models.encoded.inputs.settings.acquisition
    if len(models.objectives) > 1:
        name = "log_ehvi"
    elif chosen is None:
        name = "log_nei" if models.is_noisy else "log_ei"
    else:
        name = chosen.value
    steady = [term for term in (models.feasibility, models.cost_penalty) if term is not None]
    return TotalAcquisition(find_acquisition(name).build(models), (*models.feasibility_terms, *steady))
