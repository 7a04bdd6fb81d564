"""deploy/Dockerfile and deploy/compose.yaml without a container runtime.

The commands of both run as they are written, in a folder that stands for the image: its absolute
paths begin there, and no user is made. The rest is checked by `tests/unit/test_deploy.py`.
"""

import contextlib
import fnmatch
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from mab_store.settings import Settings
from tests.integration.api.servers import free_port
from tests.postgres.conftest import programs

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
PATIENCE_SECONDS = 600
INSTRUCTION = re.compile(r"^([A-Z]+) (.*)$", re.DOTALL)
# What is of the image, and not of this machine.
PLACES = re.compile(r"(?<![\w.])/(?=(?:opt|srv|source|constraints\.txt)\b)")


class Image:
    """The folder that stands for the image.

    Attributes:
        folder: Its top.
        variables: What ENV sets.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables: dict[str, str] = {}
        self._place = folder
        self._arguments: dict[str, str] = {}
        for keyword, text in instructions():
            getattr(self, f"_{keyword.lower()}", self._nothing)(text)

    def here(self, text: str) -> str:
        """Return a text of the files with the paths of this folder."""
        return PLACES.sub(f"{self.folder}/", text)

    def run(self, command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command as in a container, with the variables of ENV."""
        return subprocess.run(
            command,
            cwd=self._place,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )

    @property
    def environment(self) -> dict[str, str]:
        ours = {name.upper() for name in Settings.model_fields} | {"DAGSTER_HOME", "PYTHONPATH"}
        kept = {name: value for name, value in os.environ.items() if name not in ours}
        return kept | self.variables

    def _run(self, text: str) -> None:
        command = re.sub(r"useradd [^&]*&& ", "", text)  # no user of this machine
        command = self.here(command.replace("install -d -o mab", "mkdir -p"))
        python = f"{sys.base_prefix}/bin"  # of the image: Python alone
        path = f"{python}:{os.environ['PATH']}"
        done = self.run(["sh", "-ec", command], PATH=path, **self._arguments)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"

    def _workdir(self, text: str) -> None:
        self._place = Path(self.here(text))
        self._place.mkdir(parents=True, exist_ok=True)

    def _copy(self, text: str) -> None:
        *sources, target = re.sub(r"--\w+=\S+ ", "", text).split()
        if sources == ["."]:
            for name in context():
                (self._place / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self._place / name)
        elif "--from" not in text:  # from the first stage: the folder is there
            for source in sources:
                shutil.copy2(ROOT / source, self.here(target))

    def _arg(self, text: str) -> None:
        name, _, value = text.partition("=")
        self._arguments[name] = value

    def _env(self, text: str) -> None:
        for name, value in re.findall(r"(\w+)=(\S+)", text):
            here = self.here(value).replace("$PATH", os.environ["PATH"])
            self.variables[name] = here

    def _nothing(self, text: str) -> None:
        """FROM, USER, VOLUME and CMD change nothing here."""


def instructions() -> Iterator[tuple[str, str]]:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for instruction in filter(str.strip, re.split(r"(?<!\\)\n", lines)):
        found = INSTRUCTION.match(instruction.replace("\\\n", ""))
        assert found, instruction
        yield found[1], found[2].strip()


def context() -> list[str]:
    """Return the files of the checkout that `.dockerignore` leaves in."""
    ignored = [line.strip() for line in (ROOT / ".dockerignore").read_text().splitlines()]
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [
        name
        for name in names.split("\0")
        if (ROOT / name).is_file()
        and not any(
            fnmatch.fnmatch(name, rule) or name.startswith(f"{rule.rstrip('/')}/")
            for rule in ignored
            if rule
        )
    ]


class Containers:
    """The services of compose.yaml as processes."""

    def __init__(self, image: Image, postgres) -> None:
        self.image = image
        self._ports = {"3000": str(free_port()), "8000": str(free_port())}
        self._given = {"DAGSTER_POSTGRES_PASSWORD": postgres.password}
        self._own = {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(postgres.port),
            "API_PORT": self._ports["8000"],
            "API_HOST": "127.0.0.1",
            "MAB_SCHEDULE_HOUR": str((time.gmtime().tm_hour + 12) % 24),
        }
        self._processes: list[subprocess.Popen[bytes]] = []

    def command(self, words: list[str]) -> list[str]:
        """Return a command with the paths and ports of this machine."""
        found = [self.image.here(word) for word in words]
        for port, own in self._ports.items():
            found = [re.sub(rf"(?<=:){port}\b|^{port}$", own, word) for word in found]
        return found

    def variables(self, service: str) -> dict[str, str]:
        """Return the environment of a service; the hosts and ports are of this machine."""
        found = {}
        for name, value in SERVICES[service]["environment"].items():
            reference = re.fullmatch(r"\$\{(\w+)(?::-(.*)|:\?.*)\}", value)
            found[name] = self._given.get(reference[1], reference[2] or "") if reference else value
        return found | self._own

    def run(self, service: str, words: list[str]) -> subprocess.CompletedProcess[str]:
        return self.image.run(self.command(words), **self.variables(service))

    def start(self, service: str) -> None:
        log = self.log(service).open("wb")
        with log:
            process = subprocess.Popen(
                self.command(SERVICES[service]["command"]),
                cwd=self.image.here("/srv/mab"),
                env=self.image.environment | self.variables(service),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)

    def log(self, service: str) -> Path:
        return self.image.folder / f"{service}.log"

    def wait_for(self, service: str, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_so():
            assert all(process.poll() is None for process in self._processes), self.tail(service)
            assert time.monotonic() < deadline, self.tail(service)
            time.sleep(0.5)

    def tail(self, service: str) -> str:
        return self.log(service).read_text()[-4000:]

    def url(self, port: str, path: str) -> str:
        return f"http://127.0.0.1:{self._ports[port]}{path}"

    def end(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Image:
    return Image(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def containers(image, postgres) -> Iterator[Containers]:
    database = SERVICES["postgres"]["environment"]["POSTGRES_DB"]
    assert SERVICES["postgres"]["environment"]["POSTGRES_USER"] == "mab"  # the user of `postgres`
    with postgres.cursor() as cursor:
        cursor.execute(f"create database {database}")
    containers = Containers(image, postgres)
    try:
        yield containers
    finally:
        containers.end()


def test_the_image_has_mab_with_the_versions_of_the_lock_file(image):
    done = image.run(["mab", "--version"])
    assert done.returncode == 0, done.stderr
    assert Path(shutil.which("mab", path=image.variables["PATH"])).is_relative_to(image.folder)
    lock = (ROOT / "requirements.lock").read_text()
    locked = set(re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", lock, re.MULTILINE))
    frozen = image.run(["python", "-m", "pip", "freeze"]).stdout
    installed = dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", frozen, re.MULTILINE))
    assert {"dagster", "dagster-postgres", "duckdb"} <= installed.keys()
    assert "pytest" not in installed
    for name, version in installed.items():
        assert (re.sub(r"[._-]+", "-", name).lower(), version) in locked


def test_the_healthcheck_of_postgresql_finds_it(postgres):
    _, program, *options = SERVICES["postgres"]["healthcheck"]["test"]
    done = subprocess.run(
        [programs() / program, *options, "-h", "127.0.0.1", "-p", str(postgres.port)], check=False
    )
    assert done.returncode == 0


def test_the_services_start_in_their_order_and_run_a_day(containers):
    done = containers.run("init", SERVICES["init"]["command"])
    assert done.returncode == 0, done.stdout + done.stderr
    for service in ("daemon", "ui", "api"):
        assert SERVICES[service]["depends_on"] == {
            "init": {"condition": "service_completed_successfully"}
        }
        containers.start(service)
    _, *healthcheck = SERVICES["api"]["healthcheck"]["test"]
    containers.wait_for("api", lambda: containers.run("api", healthcheck).returncode == 0)
    containers.wait_for("ui", lambda: answers(containers.url("3000", "/server_info")))

    export = Path(containers.image.here("/srv/mab")) / "export.csv"
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400))
    export.write_text(
        "date,experiment,variant,impressions,clicks\n"
        f"{day},cta,control,1000,30\n{day},cta,green,1000,40\n"
    )
    done = containers.run("daemon", ["mab", "import", str(export), "--yes"])
    assert done.returncode == 0, done.stderr
    containers.wait_for("daemon", lambda: "cta" in text_of(containers.url("8000", "/allocations")))
    done = containers.run("daemon", ["mab", "doctor"])
    assert "fail daemon" not in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr


def answers(url: str) -> bool:
    return bool(text_of(url))


def text_of(url: str) -> str:
    """Return an answer; empty if there is none yet."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=30) as reply:
        return str(reply.read().decode())
    return ""
