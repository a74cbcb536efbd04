"""Import everything that computing needs, once, for the processes that fork from the importing one."""

import gc

import threadpoolctl  # noqa: F401

import bo_service.compute.tasks
import bo_service.optimizer.insight.analysis
import bo_service.optimizer.insight.slices
import bo_service.optimizer.suggest  # noqa: F401

gc.collect()
gc.freeze()  # a collection in one of them would write to pages, which are then no longer shared
