"""The client is a distribution of its own, with httpx as all that it needs."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_its_wheel_holds_the_package_and_requires_httpx_alone(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(
        command, cwd=ROOT / "clients" / "python", check=True, capture_output=True, timeout=300
    )
    (wheel,) = tmp_path.glob("mab_client-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (about,) = [name for name in names if name.endswith("/METADATA")]
        required = [
            line
            for line in archive.read(about).decode().splitlines()
            if line.startswith("Requires-Dist")
        ]
    modules = {f"mab_client/{path.name}" for path in (ROOT / "mab_client").glob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert "mab_client/LICENSE" in names
    assert required == ["Requires-Dist: httpx>=0.28"]
