"""What a metric is expected to be, at any point: Gaussian processes and their warps."""
