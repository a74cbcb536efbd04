"""Messages of the server in the words of the command line."""

import re

WORDS = {
    "CreateStudy": "`bo study create`",
    "GetStudy": "`bo study show`",
    "ListStudies": "`bo study list`",
    "UpdateStudy": "`bo study update`",
    "DeleteStudy": "`bo study delete`",
    "SuggestTrials": "`bo trial suggest`",
    "CreateTrial": "`bo trial enqueue`",
    "GetTrial": "`bo trial show`",
    "ListTrials": "`bo trial list`",
    "ReportMeasurements": "`bo trial report`",
    "CompleteTrial": "`bo trial complete`",
    "StopTrial": "`bo trial stop`",
    "DeleteTrial": "`bo trial delete`",
    "AddArtifact": "`bo artifact add`",
    "ListArtifacts": "`bo artifact list`",
    "GetArtifact": "`bo artifact get`",
    "SetTrialNote": "`bo trial note`",
    "GetBestTrials": "`bo best`",
    "PredictSlice": "`bo slice`",
    "AnalyzeStudy": "`bo explain`",
    "WatchStudy": "`bo watch`",
    "lease_token": "--lease",
    "study.spec.": "",
}
"""Methods and fields of the contract, and the commands and options for them."""
PATTERN = re.compile(r"(?<![\w/`.])(" + "|".join(map(re.escape, WORDS)) + r")(?:\b|(?<=\.))")


PHRASES = (
    (re.compile(r"\btrial\.parameters\[\"([^\"\]]+)\"\]"), r"\1"),
    (re.compile(r"\b(?:server|ca|server_name)=…, (?=--)"), ""),
    (
        re.compile(r"use it as it is with client\.study\(.*?\), change settings with its update\(\)"),
        "use it as it is, change its settings with `bo study update`",
    ),
)
"""Phrases about fields and Python, and what is said of them on the command line."""


def in_one_line(message: str) -> str:
    """Return a message in one line, with commands and options in place of methods and fields."""
    for pattern, words in PHRASES:
        message = pattern.sub(words, message)
    return " ".join(PATTERN.sub(lambda match: WORDS[match[1]], message).split())
