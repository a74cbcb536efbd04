"""Import everything that computing needs, once, for the processes that fork from the importing one."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

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


class LateModule(ModuleType):
    """A module that is imported by the first call of one of its functions."""

    def __getattr__(self, attribute: str) -> Callable[..., Any]:
        if attribute.startswith("__"):
            raise AttributeError(attribute)

        def call(*arguments: Any, **options: Any) -> Any:
            return getattr(import_module(self.__name__), attribute)(*arguments, **options)

        return call


@contextmanager
def late(name: str) -> Iterator[None]:
    """Let what the block imports use a module's functions without importing it until one is called."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = LateModule(name)
    try:
        yield
    finally:
        del sys.modules[name]


# scikit-learn imports these for what is not used here; what is late takes half of the time to import all
with absent("pandas"), absent("rich"), late("scipy.stats"), late("sklearn.metrics.pairwise"):
    import bo_service.compute.tasks
    import bo_service.optimizer.insight.analysis
    import bo_service.optimizer.insight.slices
    import bo_service.optimizer.suggest  # noqa: F401

gc.freeze()  # a collection in one of them would write to pages, which are then no longer shared
gc.enable()
