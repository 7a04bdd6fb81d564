"""The client for JavaScript: its own tests, run by Node against the real API."""

import json
import os
import subprocess
from pathlib import Path

from mab_client import Client
from tests.integration.api.homes import Home
from tests.integration.api.servers import serving

CLIENT = Path(__file__).parents[3] / "clients" / "js"
SESSIONS = [f"session-{number}" for number in range(200)] + ["sessão-ção", "会话", "x" * 5000]


def test_its_tests_pass_and_it_splits_as_the_client_for_python_does(tmp_path):
    home = Home(tmp_path / "home")
    ids = home.register()
    home.publish()
    with serving(home.settings.mab_home) as api:
        api.wait_for("/readyz")
        with Client(api.url) as client:
            assert client.wait_until_ready(60)
            split = [
                (experiment_id, session, client.assign(experiment_id, session).variant)
                for experiment_id in ids
                for session in SESSIONS
            ]
        expected = tmp_path / "split.json"
        expected.write_text(json.dumps(split))
        done = subprocess.run(
            ["node", "--test", *sorted(map(str, CLIENT.glob("test/*.test.js")))],
            env=os.environ | {"MAB_API_URL": api.url, "MAB_PYTHON_SPLIT": str(expected)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped 0" in done.stdout
