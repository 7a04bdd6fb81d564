"""The container files, as far as they can be checked without a container runtime."""

import re
import shlex
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
import yaml

from mab_store.settings import Settings
from mab_store.version import mab_version

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if name != "postgres"}
ENVIRONMENT = dict(re.findall(r"([A-Z_]+)=(\S+?)(?: \\)?\n", DOCKERFILE.partition("ENV ")[2]))
NEEDED = set(re.findall(r"env: (\w+)", (ROOT / "deploy" / "dagster.yaml").read_text()))


def commands(service):
    words = service["command"]
    if words[0] != "sh":
        return [words]
    return [shlex.split(part) for part in words[2].split("&&")]


def test_it_runs_the_daemon_the_ui_the_api_and_postgresql():
    assert set(COMPOSE["services"]) == {"postgres", "init", "daemon", "ui", "api"}
    assert OURS["api"]["command"] == ["mab", "api"]


def test_compose_yaml_is_valid_by_the_compose_specification(tmp_path):
    def checked(path):
        command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
        command += ["vendor.compose-spec", str(path)]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)

    done = checked(ROOT / "deploy" / "compose.yaml")
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text((ROOT / "deploy" / "compose.yaml").read_text().replace("command:", "comand:"))
    assert "comand" in checked(wrong).stdout


def test_every_command_is_a_program_of_the_wheel_or_of_what_it_requires():
    programs = {
        entry.name
        for package in ("mab", "dagster", "dagster-webserver")
        for entry in distribution(package).entry_points
        if entry.group == "console_scripts"
    }
    for service in OURS.values():
        for words in commands(service):
            assert words[0] in programs


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_one_that_mab_or_dagster_yaml_reads(name):
    given = set(OURS[name]["environment"]) | set(ENVIRONMENT)
    known = {setting.upper() for setting in Settings.model_fields} | NEEDED
    assert given - known == {"PATH", "DAGSTER_HOME"}
    assert given >= NEEDED


def test_what_one_part_names_another_has():
    for service in COMPOSE["services"].values():
        assert set(service.get("depends_on", ())) <= set(COMPOSE["services"])
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= set(
            COMPOSE["volumes"]
        )
    for sources, target in re.findall(
        r"^COPY (?:--chown=\w+ )([^/].*) (\S+/)$", DOCKERFILE, re.MULTILINE
    ):
        assert target == ENVIRONMENT["DAGSTER_HOME"] + "/"
        assert all((ROOT / source).is_file() for source in sources.split())
    workspace = f"{ENVIRONMENT['DAGSTER_HOME']}/workspace.yaml"
    assert workspace in OURS["daemon"]["command"]
    assert workspace in OURS["ui"]["command"]


def test_ports_are_open_on_this_machine_alone_and_no_secret_is_written_down():
    for service in COMPOSE["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        for name, value in service["environment"].items():
            if "PASSWORD" in name or "KEYS" in name or "WEBHOOK" in name:
                assert value.startswith("${")


def test_the_citation_names_this_version_and_licence():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == mab_version()
    assert citation["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()
