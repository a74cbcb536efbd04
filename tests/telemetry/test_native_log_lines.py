"""What C libraries write on standard error becomes lines of the log, until the process ends."""

import json
import subprocess
import sys

PROGRAM = r"""
import os, subprocess, sys
from bo_service.telemetry import logs, native_log_lines

native_log_lines.CATCH_UP_S = 3600.0
with native_log_lines.native_lines(environment={}):
    logs.configure("info", "json")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    os.write(2, b"E0105 10:11:12.345678     123 tcp_server_posix.cc:350] Failed accept4: Too many open files\n")
    os.write(2, b"half a line")
child.communicate(b"\n")
"""


def test_lines_are_logged_though_a_child_keeps_the_stream_open() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=True)
    line, _, rest = done.stderr.partition("\n")
    assert json.loads(line)["message"].startswith("Failed accept4: Too many open files")
    assert rest == "half a line"
