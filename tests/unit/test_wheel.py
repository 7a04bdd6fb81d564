"""The wheel holds the packages and their data, and claims no other top-level name."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_it_claims_our_packages_alone(names):
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "mab_api", "mab_pipeline", "mab_store",
    }  # fmt: skip


def test_it_holds_every_sql_file_and_the_sample(names):
    files = {
        f"mab_store/sql/{path.relative_to(ROOT / 'sql')}" for path in ROOT.glob("sql/**/*.sql")
    }
    assert len(files) > 30
    assert files <= names
    assert "mab_pipeline/sample/asos_sample.csv" in names
    assert "mab_api/openapi_examples.json" in names
