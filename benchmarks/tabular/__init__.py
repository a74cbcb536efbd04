"""Tabular benchmarks: networks whose every configuration was trained before, so that a trial is a look-up."""
