"""The part of the test double that stands for the account: locks, waiting, the user's stage.

See `wire.py` for the sources. The emulator locks nothing and knows no stage of a user.
"""

import json
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from tests.snowflake.wire import CANCELED, Answer, Job, Refusal, Relay, Reply, Request, reply

MOST_WAITERS = 20
USER_STAGE = "mab_user_stage"  # stands for @~

TOO_MANY = Refusal(
    "000625",
    "Statement 'x' has locked table 'WRITER_LOCK' in transaction 1 and this lock has not yet been "
    "released. Your statement 'y' was aborted because the number of waiters for this lock exceeds "
    "the 20 statements limit.",
)
WAITED = Refusal(
    "000625",
    "Statement 'x' has locked table 'WRITER_LOCK' in transaction 1 and this lock has not yet been "
    "released. Your statement 'y' was aborted because it waited for longer than LOCK_TIMEOUT.",
)
_LOCK_COLUMNS = (
    "resource", "type", "transaction", "transaction_started_on", "status", "acquired_on",
    "query_id",
)  # fmt: skip

Place = tuple[str, str]


@dataclass
class Session:
    """A session of a client.

    Attributes:
        place: Its database and schema.
        lock_seconds: Its LOCK_TIMEOUT.
        last: When it last sent a statement, in monotonic seconds.
    """

    place: Place
    lock_seconds: float
    last: float = 0.0


class Hold(NamedTuple):
    """The lock of a table."""

    request: Request
    transaction: int

    @property
    def session(self) -> str:
        return self.request.session


class Account(Relay):
    """Snowflake, as far as the emulator is not.

    Attributes:
        idle_seconds: An idle transaction that blocks another one ends so soon; 300 in reality.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.idle_seconds = 300.0
        self.sessions: dict[str, Session] = {}
        self.locks: dict[Place, Hold] = {}
        self.waiting: Counter[Place] = Counter()
        self._changed = threading.Condition()
        self._transactions = 1_700_000_000_000_000_000

    def answer(self, request: Request) -> Reply | None:
        text = request.text.lower()
        session = self.sessions.get(request.session)
        if session and text:
            session.last = time.monotonic()
        if "login-request" in request.path:
            return self._log_in(request)
        if "delete=true" in request.path:
            self._release(request.session)
        if text.startswith("remove @~"):
            return reply({"data": _rows(("name", "result"), []), "success": True})
        if text.startswith("show locks"):
            return self._show_locks()
        if text.startswith("select system$abort_transaction("):
            return self._abort_transaction(int(text.split("(")[1].rstrip(";) ")))
        if session and text.startswith("update writer_lock"):
            self.statements.append(request.text)
            return self.at_length(request, lambda job: self._update(job, request, session))
        found = super().answer(self._with_stage(request))
        if text in {"commit", "rollback"}:
            self._release(request.session)
        return found

    def _log_in(self, request: Request) -> Reply | None:
        found = super().answer(request)
        if found is None or not (answer := found.answer).get("success"):
            return found
        info = answer["data"]["sessionInfo"]
        parameters = request.body["data"]["SESSION_PARAMETERS"]
        place = (str(info["databaseName"]), str(info["schemaName"]))
        token = f'Snowflake Token="{answer["data"]["token"]}"'
        seconds = float(parameters.get("LOCK_TIMEOUT", 43_200))
        self.sessions[token] = Session(place, seconds, time.monotonic())
        make = _asking(token, f"create stage if not exists {USER_STAGE}")
        self.forward(make)
        return found

    def _with_stage(self, request: Request) -> Request:
        if "@~/" not in request.text:
            return request
        return request.saying(str(request.body["sqlText"]).replace("@~/", f"@{USER_STAGE}/"))

    def _update(self, job: Job, request: Request, session: Session) -> Reply:
        """Wait for the lock of the table, then update it."""
        end = time.monotonic() + session.lock_seconds
        place = session.place
        with self._changed:
            if self.waiting[place] >= MOST_WAITERS:
                return reply(TOO_MANY.answer)
            self.waiting[place] += 1
            try:
                while (hold := self.locks.get(place)) and hold.session != request.session:
                    if time.monotonic() - self.sessions[hold.session].last > self.idle_seconds:
                        self._abort(place)
                        continue
                    if job.canceled.is_set():
                        return reply(CANCELED.answer)
                    if time.monotonic() >= end:
                        return reply(WAITED.answer)
                    self._changed.wait(0.02)
                self._transactions += 1
                self.locks[place] = Hold(request, self._transactions)
            finally:
                self.waiting[place] -= 1
        session.last = time.monotonic()
        return self.forward(request)

    def _release(self, token: str) -> None:
        with self._changed:
            for place in [place for place, hold in self.locks.items() if hold.session == token]:
                del self.locks[place]
            self._changed.notify_all()

    def _abort(self, place: Place) -> None:
        """Roll a transaction back in its client's place."""
        hold = self.locks.pop(place)
        self.forward(_asking(hold.session, "rollback"))
        self._changed.notify_all()

    def _show_locks(self) -> Reply:
        rows = [
            [
                f"{place[0]}.{place[1]}.WRITER_LOCK", "PARTITIONS", str(hold.transaction),
                "2025-03-01 02:00:00.000 Z", "HOLDING", "2025-03-01 02:00:01.000 Z", "01b2",
            ]
            for place, hold in self.locks.items()
        ]  # fmt: skip
        return reply({"data": _rows(_LOCK_COLUMNS, rows), "success": True})

    def _abort_transaction(self, transaction: int) -> Reply:
        with self._changed:
            for place, hold in list(self.locks.items()):
                if hold.transaction == transaction:
                    self._abort(place)
        rows = [["Transaction ABORTED."]]
        return reply({"data": _rows(("SYSTEM$ABORT_TRANSACTION",), rows), "success": True})


def _asking(token: str, text: str) -> Request:
    """Return a statement of our own in a client's session."""
    path = f"/queries/v1/query-request?requestId={uuid.uuid4()}"
    headers = {"Authorization": token, "Content-Type": "application/json"}
    return Request("POST", path, headers, json.dumps({"sqlText": text}).encode())


def _rows(names: tuple[str, ...], rows: list[list[str]]) -> Answer:
    """Return the data of an answer of text columns."""
    columns = [
        {"name": name, "type": "text", "nullable": True, "length": 1 << 24, "byteLength": 1 << 24,
         "precision": None, "scale": None, "database": "", "schema": "", "table": "",
         "collation": None}
        for name in names
    ]  # fmt: skip
    return {
        "rowtype": columns, "rowset": rows, "total": len(rows), "queryId": "01b2",
        "queryResultFormat": "json", "parameters": [], "statementTypeId": 0x1000,
    }  # fmt: skip
