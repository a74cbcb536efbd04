"""What earlier studies know, as surrogates in this study's space."""

import numpy as np

from bo_service.core.encoded.workbench import Workbench
from bo_service.core.surrogates.fitting import fit_on
from bo_service.core.surrogates.gaussian_process import GaussianProcess
from bo_service.core.surrogates.observations import Observations, telling
from bo_service.core.surrogates.warping import Warp

MOST = 150
"""Trials that are learned from in each source."""


def fit_sources(bench: Workbench, objective: int) -> dict[str, GaussianProcess]:
    """The surrogate, in warped units, of each source that knows something of the objective, by its study's name."""
    found = {}
    for k, (source, past) in enumerate(bench.sources):
        if source.objective == objective and len(np.unique(past.values)) > 1:
            warp = Warp.fit(past.targets)
            y, known = warp.forward(past.targets), warp.further_noise(past.targets)
            few = telling(y, MOST)
            data = Observations(past.encoding.features(past.past_rows), y, known).rows(few)
            found[source.name] = fit_on(bench, data, data, 7, k)
    return found
