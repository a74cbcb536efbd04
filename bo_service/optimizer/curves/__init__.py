"""The surrogate of learning curves: one Gaussian process over configurations, steps and trials."""
