"""The wheel holds the packages and their data, and claims no other top-level name."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from mab_store.settings import Settings
from tests.python_path import clock_shim

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def names(wheel) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def test_it_claims_our_packages_alone(names):
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "mab_api", "mab_dashboard", "mab_pipeline", "mab_store",
    }  # fmt: skip


def test_it_holds_every_sql_file_and_the_sample(names):
    files = {
        f"mab_store/sql/{path.relative_to(ROOT / 'sql')}" for path in ROOT.glob("sql/**/*.sql")
    }
    assert len(files) > 30
    assert files <= names
    assert "mab_pipeline/sample/asos_sample.csv" in names
    assert "mab_api/openapi_examples.json" in names


def test_it_holds_what_mab_up_starts_and_the_licence(names):
    assert {"mab_pipeline/Procfile", "mab_pipeline/workspace.yaml"} <= names
    assert {"mab_dashboard/texts_en.json", "mab_dashboard/texts_pt.json"} <= names
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


# Installed, in an environment of its own; what it requires comes from this one.

OUTSIDE = """
import sys
from pathlib import Path
import mab_pipeline
from mab_pipeline.operations.up import environment, service_file
from mab_store.settings import load_settings
assert str(Path(mab_pipeline.__file__)).startswith(sys.prefix), mab_pipeline.__file__
for name in ("Procfile", "workspace.yaml"):
    assert service_file(name).parent == Path(mab_pipeline.__file__).parent
assert environment(load_settings())["MAB_WORKSPACE"] == str(service_file("workspace.yaml"))
try:
    from mab_pipeline.definitions import defs
    defs()
except Exception as error:
    print(error, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def outside(wheel, tmp_path_factory):
    """Run a program of an environment with the wheel, in an empty folder."""
    folder = tmp_path_factory.mktemp("outside")
    home = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True, timeout=300)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "required.pth").write_text(sysconfig.get_path("purelib"))
    command = [sys.executable, "-m", "pip", "--quiet", "--python", home / "bin" / "python"]
    command += ["install", "--no-deps", "--no-index", "--ignore-installed", wheel]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    ours = {name.upper() for name in Settings.model_fields} | {"DAGSTER_HOME", "PYTHONPATH"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    kept |= clock_shim()

    def run(program, *arguments):
        return subprocess.run(
            [home / "bin" / program, *arguments],
            env=kept | {"MAB_HOME": str(folder / "home")},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


def test_installed_it_runs_a_day_outside_the_checkout(outside, tmp_path):
    export = tmp_path / "export.csv"
    header = "experiment,variant_name,impressions,clicks"
    export.write_text(f"{header}\ncta,control,300,3\ncta,a,300,4\n")
    create = ("create", "cta", "--control", "control", "--variant", "a")
    assert outside("mab", "experiments", *create).returncode == 0
    day = ("--date", "2025-03-01")
    assert outside("mab", "ingest", str(export), *day).returncode == 0
    done = outside("mab", "run", *day)
    assert done.returncode == 0, done.stderr
    assert "Published 1 allocation," in done.stderr


def test_installed_it_finds_what_mab_up_starts_and_refuses_a_temporary_dagster_home(outside):
    done = outside("python", "-c", OUTSIDE)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("DAGSTER_HOME is not set, so Dagster would keep its records in a")
    assert "Use `mab up`; or run `mab init` and set DAGSTER_HOME=" in done.stderr
