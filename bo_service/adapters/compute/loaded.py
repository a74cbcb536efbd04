"""All that computing needs, loaded once for the processes that are forked from the one which imports this."""

import gc

import threadpoolctl  # noqa: F401

import bo_service.adapters.compute.tasks
import bo_service.core.insight.analysis
import bo_service.core.insight.slices
import bo_service.core.suggest  # noqa: F401

gc.collect()
gc.freeze()  # a collection in one of them would write to pages, which are then no longer shared
