"""How often Snowflake is tried: counted with a clock that is set by hand."""

from contextlib import contextmanager

import pytest
from snowflake.connector.errors import DatabaseError, OperationalError

from mab_store.errors import SettingsError, WarehouseError
from mab_store.settings import Settings
from mab_store.warehouse.snowflake.shared_connection import (
    LONGEST_PAUSE_SECONDS,
    Line,
    pause_seconds,
)

ACCOUNT = {f"snowflake_{name}": "x" for name in ("account", "user", "warehouse", "database")}
SECRET = "correct-horse-battery"
AWAY = OperationalError("250001: Could not connect", errno=250001)
REFUSED = DatabaseError(f"390100: Incorrect password {SECRET}", errno=390100)
QUERY = "snowflake/newest_version"


class Account:
    """Answers every login with an error, and counts them.

    Attributes:
        logins: When it was tried [s].
        now: The time [s].
    """

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.logins: list[float] = []
        self.now = 1_000.0
        self.line = Line(
            Settings(
                _env_file=None,
                mab_engine="snowflake",
                snowflake_schema="x",
                snowflake_password=SECRET,
                **ACCOUNT,
            ),
            connect=self.connect,
            clock=lambda: self.now,
        )

    @contextmanager
    def connect(self):
        self.logins.append(self.now)
        raise self.error
        yield

    def ask(self, seconds: float, *, every: float) -> list[str]:
        """Ask again and again for so long; return what was said."""
        said = []
        for _ in range(int(seconds / every)):
            with pytest.raises((WarehouseError, SettingsError)) as caught:
                self.line.fetch_arrow(QUERY)
            said.append(str(caught.value))
            self.now += every
        return said


def test_an_hour_away_takes_few_logins_however_often_it_is_asked():
    account = Account(AWAY)
    said = account.ask(3600, every=1)
    assert len(account.logins) == 15
    pauses = [
        after - before for before, after in zip(account.logins, account.logins[1:], strict=False)
    ]
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (30, LONGEST_PAUSE_SECONDS)
    assert all("cannot be reached" in text for text in said)
    assert said[1].endswith("The next try is in 29 s.")


def test_a_refused_login_waits_the_longest_at_once_and_repeats_no_secret():
    account = Account(REFUSED)
    said = account.ask(900, every=10)
    assert len(account.logins) == 3
    assert all("SNOWFLAKE_PASSWORD" in text and SECRET not in text for text in said)


def test_after_a_success_the_pauses_begin_anew():
    account = Account(AWAY)
    account.ask(200, every=1)
    tried = len(account.logins)
    account.now += LONGEST_PAUSE_SECONDS
    failing, account.line._connect = account.line._connect, contextmanager(_nothing)
    with pytest.raises(AttributeError):  # it logged in, and None has no cursor
        account.line.fetch_arrow(QUERY)
    account.line._connect = failing
    account.ask(31, every=1)
    assert len(account.logins) == tried + 2


def _nothing():
    yield None


def test_pauses_double_up_to_the_longest_and_never_below_the_usual():
    assert [pause_seconds(30, failures) for failures in range(6)] == [30, 60, 120, 240, 300, 300]
    assert pause_seconds(3600, 4) == 3600
    assert pause_seconds(0.1, 10_000) == 300
