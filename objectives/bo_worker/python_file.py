"""A search space in a Python file, which can be derived from the objective's own.

    from bo_client import FloatParameter, SearchSpace

    def space(default, whole):
        return SearchSpace([p for p in default.parameters if p.name != "dropout"] + [whole["weight_decay"]])

    settings = {"seed": 1}

`space` is a SearchSpace, or a function of the objective's default space and of the whole of what it knows; `metrics` (a
list of Metric) and `settings` (arguments of Client.create_study) may be left out. The file is run: it must be yours.
"""

import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from bo_client import InvalidRequest, Metric, SearchSpace, StudySettings
from bo_client.specfile import StudyFile
from bo_objectives.base import Definition
from bo_objectives.errors import SetupError


def load(path: Path, definition: Definition) -> StudyFile:
    """Return the content of the file.

    Raises:
        SetupError: the file fails, or its names have wrong types.
        InvalidRequest: its space is invalid.
    """
    try:
        content = runpy.run_path(str(path), run_name="space")
        space = content.get("space")
        if callable(space):
            space = space(definition.space, definition.whole or definition.space)
    except Exception as error:
        raise SetupError(f"{path} can't be run: {type(error).__name__}: {error}") from error
    if not isinstance(space, SearchSpace):
        raise SetupError(
            f"{path}: space is {type(space).__name__}; it must be a SearchSpace, or a "
            "function of (default, whole) that gives one"
        )
    metrics, settings = content.get("metrics", ()), content.get("settings", {})
    if not isinstance(metrics, list | tuple) or not all(isinstance(m, Metric) for m in metrics):
        raise SetupError(f"{path}: metrics must be a list of bo_client.Metric; leave it out for the objective's own")
    if not isinstance(settings, Mapping):
        raise SetupError(f"{path}: settings must be a mapping such as {{'seed': 1}}")
    faults = space.faults()
    if faults:
        raise InvalidRequest.listing(faults)
    return StudyFile(space, tuple(metrics), cast(StudySettings, dict(settings)))
