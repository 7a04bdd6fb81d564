"""Schemathesis against a real server: every check, valid and invalid data, sequences of calls."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.integration.api.servers import ROOT, serving
from tests.python_path import python_path

HERE = Path(__file__).parent
KEY = "a key that opens everything"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()


def test_no_call_breaks_the_contract(templates, tmp_path):
    home = templates["ten_days"].clone(tmp_path / "home").settings.mab_home
    with serving(home, API_READ_KEYS=DIGEST, API_WRITE_KEYS=DIGEST) as server:
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from schemathesis.cli import schemathesis as st; st()"),
                *("--config-file", str(HERE / "schemathesis.toml")),
                *("run", f"{server.url}/openapi.json"),
                *("--header", f"Authorization: Bearer {KEY}"),
                *("--checks", "all", "--mode", "all", "--max-examples", "25"),
                *("--seed", "1", "--no-color"),
            ],
            env=os.environ
            | {
                "PYTHONPATH": python_path(ROOT),
                "SCHEMATHESIS_HOOKS": "tests.integration.api.schemathesis_hooks",
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "19 selected / 19 total" in done.stdout
        assert "Stateful" in done.stdout
        assert '"crashed"' not in server.log.read_text()
