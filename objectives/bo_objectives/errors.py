"""What is wrong with how an objective was asked for, before any trial is run."""


class SetupError(ValueError):
    """An option or file that is missing, malformed or not supported; the message says what to do."""
