"""The calls that docs/http.md shows, as curl makes them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import bo_client
import pytest

TEXT = (Path(__file__).parents[3] / "docs" / "http.md").read_text()
BLOCKS: list[str] = re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_every_call_works(make_server, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        assert not os.environ.get("CI"), "there is no curl"
        pytest.skip("there is no curl on this machine")
    process = make_server("--dashboard", "127.0.0.1:0")
    address = process.start()
    found = re.search(r"dashboard at (http\S+)/", process.log)
    assert found
    installing, *calls = BLOCKS
    assert "--dashboard 127.0.0.1:8080" in installing
    script = "\n".join(calls).replace("http://127.0.0.1:8080", found[1])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "there is no study studies/none" in done.stdout
    assert "NOT_FOUND\n" in done.stdout
    assert '"role": "ROLE_ADMIN"' in done.stdout
    assert 'data: {"study":{"id":"curl"' in done.stdout
    with bo_client.connect(address) as client:
        best = client.study("curl").best()
        assert best.value("loss") == 0.5
        assert client.study("curl").trial(best.number).measurements[0].metrics == {"loss": 0.7}
