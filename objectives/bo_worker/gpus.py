"""The GPUs that the slots of a worker use."""

import shutil
import subprocess

from bo_objectives.errors import SetupError

AUTO = "auto"
QUERY = ("nvidia-smi", "--query-gpu=index", "--format=csv,noheader")


def chosen(text: str) -> tuple[str, ...]:
    """Return the GPUs of a list such as 0,1; for `auto`, all GPUs of the machine.

    Raises:
        SetupError: the list has an empty item, or nvidia-smi fails.
    """
    if text == AUTO:
        return _detected()
    gpus = tuple(part.strip() for part in text.split(","))
    if not all(gpus):
        raise SetupError(f"--gpus is {text!r}; give auto, or GPUs with commas between, such as 0,1")
    return gpus


def _detected() -> tuple[str, ...]:
    if shutil.which(QUERY[0]) is None:
        return ()
    try:
        output = subprocess.run(QUERY, capture_output=True, text=True, timeout=30, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"--gpus auto: nvidia-smi cannot list the GPUs ({error}); give a list such as 0,1") from error
    return tuple(output.split())
