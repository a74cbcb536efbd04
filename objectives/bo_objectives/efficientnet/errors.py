"""What is wrong with the objective's options, before any trial is run."""


class SetupError(ValueError):
    """An option names something that is missing, malformed or not supported; the message says what to do."""
