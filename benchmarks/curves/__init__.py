"""Recorded learning curves of real trainings, to be replayed by look-up."""
