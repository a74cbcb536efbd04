"""Limits on what a server accepts. `docs/limits.md` lists them for users, line by line."""

MAX_MESSAGE_BYTES = 4 * 2**20
"""Bytes of a request"""
MAX_REQUEST_ID = 128
"""Characters of a request id"""
MAX_WORKER_ID = 128
"""Characters of a worker id"""
MAX_LEASE_TOKEN = 64
"""Characters of a lease token"""
MAX_WATCHES = 64
"""WatchStudy streams at once"""
MAX_PAGE = 1000
"""Studies or trials on a page"""
MAX_PAGE_BYTES = 2 * 2**20
"""Bytes of a page, beyond its last study or trial"""
MAX_PAGE_MEASUREMENTS = 20_000
"""Measurements on a page with learning curves, beyond its last trial"""
MAX_ANSWER_BYTES = 32 * 2**20
"""Bytes of an answer"""
MAX_UNSENT_BYTES = 64 * 2**20
"""Bytes of answers that their callers have not taken yet"""
MAX_CALLER_UNSENT_BYTES = 32 * 2**20
"""The same of one bearer token, or of one connection where nobody needs a token"""

MAX_STUDY_ID = 63
"""Characters of a study id"""
MAX_DISPLAY_NAME = 200
"""Characters of a display name"""
MAX_LABELS = 64
"""Labels of a study or trial"""
MAX_LABEL_KEY = 63
"""Characters of a label's key"""
MAX_LABEL_VALUE = 256
"""Characters of a label's value"""

MAX_PARAMETERS = 256
"""Parameters of a study"""
MAX_NAME = 128
"""Characters of a parameter's or metric's name"""
MAX_VALUES = 1_000
"""Values of a categorical or discrete parameter, or of an activation"""
MAX_TEXT = 256
"""Characters of a value"""
MAX_COLUMNS = 4096
"""Columns of a space: one for each categorical value, one for any other parameter, two for a conditional one"""
MAX_INT = 2**53
"""Largest whole number, in either direction"""
MAX_CONSTRAINTS = 64
"""Constraints of a study"""
MAX_DESCRIPTION = 1000
"""Characters of a parameter's or constraint's description"""
MAX_UNIT = 32
"""Characters of a unit"""
MAX_METRICS = 16
"""Metrics of a study"""
MAX_OBJECTIVES = 3
"""Metrics that are optimized"""
MAX_OBJECTIVE_NAME = 256
"""Characters of an objective's name"""
MAX_OPTIONS = 64
"""Options of an objective"""
MAX_OPTION_KEY = 128
"""Characters of an option's key"""
MAX_OPTION_VALUE = 2048
"""Characters of an option's value"""
MAX_SOURCES = 8
"""Studies that one starts from"""
MAX_INITIAL_TRIALS = 1000
"""Initial trials"""
MAX_CONFIRMING_TRIALS = 100
"""Confirming trials"""
MAX_GRID_POINTS = 1000
"""Values of each interval on a grid"""
MAX_GRID_SIZE = 4096
"""Combinations of a grid"""
MAX_ATTEMPTS = 100
"""Attempts at a trial"""
MAX_LEASE_SECONDS = 86_400
"""Seconds of a lease"""

MAX_TRAINING_SECONDS = 10**10
"""Seconds of training in the budget of a study"""
MAX_TRIALS = 1_000_000
"""Trials of a study"""
MAX_SUGGESTIONS = 100
"""Trials in a call of SuggestTrials"""
MAX_TRIAL_MEASUREMENTS = 10_000
"""Measurements of a trial"""
MAX_CALL_MEASUREMENTS = 1000
"""Measurements in a call of ReportMeasurements"""
MAX_METRIC_VALUES = 64
"""Metrics in a measurement"""
MAX_STEP = 2**53
"""Largest step"""
MAX_SECONDS = 10 * 365 * 86_400
"""Seconds that a trial takes"""
MAX_CHECKPOINT_URI = 2048
"""Characters of a checkpoint URI"""
MAX_FAILURE_MESSAGE = 10_000
"""Characters of a failure's message"""
MAX_STOP_REASON = 1000
"""Characters of the reason to stop a trial"""

MAX_NOTE = 10_000
"""Characters of a trial's note"""
MAX_ARTIFACT_ID = 128
"""Characters of an artifact's id"""
MAX_MEDIA_TYPE = 127
"""Characters of an artifact's media type"""
MAX_ARTIFACT_URI = 2048
"""Characters of an artifact's URI"""
MAX_ARTIFACT_BYTES = 2**20
"""Bytes of an artifact that is stored here"""
MAX_TRIAL_ARTIFACTS = 64
"""Artifacts of a trial"""
MAX_TRIAL_ARTIFACT_BYTES = 8 * 2**20
"""Bytes of a trial's artifacts, together"""
MAX_STUDY_ARTIFACTS = 10_000
"""Artifacts of a study"""
MAX_STUDY_ARTIFACT_BYTES = 256 * 2**20
"""Bytes of a study's artifacts, together"""

MAX_TOKEN_STUDIES = 100
"""Studies, or beginnings of their ids, that a bearer token is for"""
MAX_TOKEN_DESCRIPTION = 200
"""Characters of a bearer token's description"""

MAX_BEST = 1000
"""Trials in an answer of GetBestTrials, of one objective"""
MAX_CONFIGURATIONS = 1000
"""Configurations in a call of Predict"""
MAX_SLICE_VALUES = 1000
"""Values of the one parameter of a slice"""
MAX_GRID_VALUES = 100
"""Values of each of the two parameters of a slice"""
MAX_SLICE_POINTS = 10_000
"""Points of a slice"""
