"""What earlier studies know, as surrogates in this study's space."""

from functools import partial

import numpy as np

from bo_service.optimizer.encoding.encoded_data import EncodedData
from bo_service.optimizer.gp.fitting import fit_on
from bo_service.optimizer.gp.gaussian_process import GaussianProcess
from bo_service.optimizer.gp.observations import TrainingData, select_subset
from bo_service.optimizer.gp.output_transform import OutputTransform
from bo_service.optimizer.gp.transform_choice import WarpedData, choose_transform

MOST = 150
"""Trials that are learned from in each source."""


def fit_sources(encoded: EncodedData, objective: int) -> dict[str, GaussianProcess]:
    """Fit the surrogate, in warped units, of each source that knows something of the objective, by its study's name."""
    found = {}
    for k, (source, past) in enumerate(encoded.sources):
        if source.objective == objective and len(np.unique(past.values)) > 1:
            warped = choose_transform(encoded, past.targets, None, partial(_warp, past), 7, k)
            found[source.name] = fit_on(encoded, warped.data, warped.early, 7, k)
    return found


def _warp(past: EncodedData, is_robust: bool) -> WarpedData:
    """Return at most MOST trials of a source, warped."""
    output_transform = OutputTransform.fit(past.targets, None, is_robust)
    y, known = output_transform.forward(past.targets), output_transform.extra_noise_variance(past.targets)
    few = select_subset(y, MOST)
    data = TrainingData(past.encoding.features(past.past_rows), y, known).rows(few)
    return WarpedData(output_transform, past.targets[few], data, data, 1.0)
