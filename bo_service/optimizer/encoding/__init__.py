"""Configurations and trials as numbers."""
