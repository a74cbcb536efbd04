"""Errors in the setup of an objective, before any trial runs."""


class SetupError(ValueError):
    """An option or file is missing, malformed or not supported; the message says what to do."""
