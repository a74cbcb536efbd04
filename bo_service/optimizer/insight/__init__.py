"""What the surrogate can tell of a study: which parameters matter, whether the best is best, how far to trust it.

findings      the answers, as plain values
view          the surrogate and the observations that the answers rest on
joint         joint posteriors, posterior draws as functions, leave-one-out: what a single point's posterior can't say
sobol         variance-based indices of any function on any part of the unit cube
importance, best, calibration, slices     one question each
"""
