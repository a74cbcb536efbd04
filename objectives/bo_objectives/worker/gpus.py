"""Which GPUs the slots of a worker use."""

import shutil
import subprocess

from bo_objectives.errors import SetupError

AUTO = "auto"
QUERY = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")


def chosen(text: str) -> tuple[str, ...]:
    """From a list such as 0,1; or `auto` for every one that the machine has, none where it has none.

    Raises:
        SetupError: a list with an empty place, or nvidia-smi fails.
    """
    if text == AUTO:
        return _found()
    gpus = tuple(part.strip() for part in text.split(","))
    if not all(gpus):
        raise SetupError(f"--gpus is {text!r}; give auto, or GPUs with commas between, such as 0,1")
    return gpus


def _found() -> tuple[str, ...]:
    if shutil.which(QUERY[0]) is None:
        return ()
    try:
        told = subprocess.run(QUERY, capture_output=True, text=True, timeout=30, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"--gpus auto: nvidia-smi can't tell the GPUs ({error}); give them, such as 0,1") from error
    return tuple(told.split())
