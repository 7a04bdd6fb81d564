"""The tests of the production settings: a real PostgreSQL that they start, on a free port.

`make test-postgres` runs them. PostgreSQL refuses to run as root, so root hands it to the user
that its package makes.
"""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pytest

from tests.integration.api.servers import free_port

START_SECONDS = 120
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Server:
    """Where PostgreSQL listens, and who may come in."""

    port: int
    password: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables that deploy/dagster.yaml names."""
        return {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(self.port),
            "DAGSTER_POSTGRES_USER": "mab",
            "DAGSTER_POSTGRES_PASSWORD": self.password,
            "DAGSTER_POSTGRES_DB": "postgres",
        }

    @contextmanager
    def cursor(self, database: str = "postgres") -> Iterator[psycopg2.extensions.cursor]:
        """Yield a cursor whose statements commit at once."""
        with closing(psycopg2.connect(self.url(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor

    def url(self, database: str = "postgres", *, password: str | None = None) -> str:
        secret = quote(self.password if password is None else password, safe="")
        return f"postgresql://mab:{secret}@127.0.0.1:{self.port}/{database}"


def programs() -> Path:
    """Return the folder of PostgreSQL's programs; Debian puts them where no PATH leads."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    pytest.fail(
        "PostgreSQL's initdb is not on this machine: install it (apt-get install postgresql), "
        "then run `make test-postgres` again.",
        pytrace=False,
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="mab-postgres-"))  # pytest's own is closed to others
    owner: dict[str, int] = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam("postgres")
        owner = {"user": account.pw_uid, "group": account.pw_gid}
        os.chown(folder, account.pw_uid, account.pw_gid)
    bin_folder = programs()
    password = f"p@ss/w:rd%{secrets.token_hex(8)}"  # what must be escaped in a URL
    password_file = folder / "password"
    password_file.write_text(password)
    password_file.chmod(0o644)

    def run(program: str, *arguments: str, check: bool = True) -> int:
        done = subprocess.run(
            [bin_folder / program, "-D", folder / "data", *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=(folder / "said").open("ab"),
            stderr=subprocess.STDOUT,
            check=False,
            timeout=2 * START_SECONDS,
            **owner,
        )
        assert not (check and done.returncode), (folder / "said").read_text()
        return done.returncode

    run("initdb", "-U", "mab", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync")
    for attempt in range(ATTEMPTS):
        port = free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
        last = attempt + 1 == ATTEMPTS  # somebody may have taken the port in between
        start = ("-w", "-t", str(START_SECONDS), "-l", str(folder / "log"), "-o", options, "start")
        if run("pg_ctl", *start, check=last) == 0:
            break
    try:
        yield Server(port, password)
    finally:
        run("pg_ctl", "-m", "immediate", "stop", check=False)
        shutil.rmtree(folder, ignore_errors=True)
