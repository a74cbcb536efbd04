"""The server's bounds that its clients and workers need where there is no server to ask; a test holds them equal.

Everything else that a server refuses is left to it: its refusals name the field, what is allowed and what to do.
"""

import re

MAX_WORKER_ID = 128
"""Characters of a worker id."""
MAX_NAME = 128
"""Characters of a parameter's or metric's name."""
NAME = re.compile(rf"[A-Za-z_][A-Za-z0-9_./-]{{0,{MAX_NAME - 1}}}")
"""What a parameter or metric may be called."""
MAX_VALUES = 1_000
"""Values of a categorical or discrete parameter."""
MAX_OPTION_VALUE = 2048
"""Characters of an objective's option."""
MAX_FAILURE_MESSAGE = 10_000
"""Characters of a failure's message."""
MAX_METRIC_VALUES = 64
"""Metrics in a measurement."""
MAX_OBJECTIVES = 3
"""Metrics that are optimized together."""
MAX_STEP = 2**53
"""Largest step."""
MAX_ARTIFACT_BYTES = 2**20
"""Bytes of an artifact that the server stores."""
TOLERANCE = 1e-9
"""By how much a sum may miss its bound, relative to the larger of |bound| and sum(|coefficient * value|)."""
