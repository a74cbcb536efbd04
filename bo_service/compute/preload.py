"""Import everything that computing needs, once, for the processes that fork from the importing one."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import threadpoolctl  # noqa: F401

gc.disable()  # imports make no garbage: looking for it meanwhile would take a tenth of their time


@contextmanager
def absent(name: str) -> Iterator[None]:
    """Let a module that is not loaded count as not installed within the block."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]


with absent("pandas"), absent("rich"):  # scikit-learn imports them where they are installed, for what is not used here
    import bo_service.compute.tasks
    import bo_service.optimizer.insight.analysis
    import bo_service.optimizer.insight.slices
    import bo_service.optimizer.suggest  # noqa: F401

gc.collect()
gc.freeze()  # a collection in one of them would write to pages, which are then no longer shared
gc.enable()
