"""Suggestions without a surrogate."""

import subprocess
import sys


def test_nothing_of_the_surrogate_is_loaded_for_them() -> None:
    code = "import sys, bo_service.core.blind; print(*(m for m in sys.modules if 'sklearn' in m or 'surrogates' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
