"""`mab ingest`: all of a file or nothing of it, and what will be rejected is said beforehand."""

import io
import json
import multiprocessing
import os
import re
import resource
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mab_pipeline.operations.ingest import Intake
from mab_store.errors import ConflictError, InboxError
from mab_store.experiments.schemas import experiment_id_of

HEADER = "date,experiment,variant_name,impressions,clicks\n"
NAME = "checkout"
DAYS = [f"2025-03-{day}" for day in (14, 15, 16, 17, 18)]
FIVE_DAYS = HEADER + "".join(f"{day},{NAME},control,{300 + i},3\n" for i, day in enumerate(DAYS))
FORK = multiprocessing.get_context("fork")


@pytest.fixture(scope="module")
def registered(make_world):
    world = make_world()
    world.register(NAME)
    return world


@pytest.fixture
def world(make_world):
    world = make_world()
    world.register(NAME)
    return world


def intake(world) -> Intake:
    return Intake(world.platform.inbox, world.settings.mab_start_date, world.clock())


def metrics(world) -> list[str]:
    """Return every entry below metrics/ that is no folder, hidden ones too."""
    paths = [path for path in (world.inbox / "metrics").rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(world.inbox)) for path in paths)


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def parquet(**columns: list[object]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def two_of_a_column() -> bytes:
    columns = [pa.array(["2025-03-18"]), *(pa.array(["1"]) for _ in range(5))]
    names = ["date", "experiment", "variant_name", "impressions", "clicks", "Clicks "]
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, names=names), buffer)
    return buffer.getvalue()


ROW = '{"variant_name": "control", "impressions": 1, "clicks": 0}'
TWICE = ROW.replace("impressions", "clicks")
SUBMISSION = '{"experiment": "checkout", "date": "%s", "metrics": [%s]}'
REFUSED = {
    "columns.csv": (HEADER.replace("clicks", "clicks,clicks") + "2025-03-18,x,y,1,0,0\n",
                    "has the column clicks more than once"),
    "dates.csv": ("date," + HEADER + "2025-03-18,2025-03-18,x,y,1,0\n",
                  "has the column date more than once"),
    "two_dates.csv": ("metric_date," + HEADER + "2025-03-18,2025-03-17,x,y,1,0\n",
                      "states days in two columns"),
    "ragged.csv": (FIVE_DAYS + "2025-03-18,checkout,control,1,0,9\n",
                   "has more fields in line 7 than the header"),
    "quote.csv": (FIVE_DAYS + '2025-03-18,"checkout,control,1,0\n', "a quote is opened"),
    "latin.csv": (HEADER.encode() + b"2025-03-18,caf\xe9,control,1,0\n", "is not UTF-8"),
    "no_rows.csv": (HEADER, "has no rows"),
    "no_rows.parquet": (parquet(**{name: [] for name in HEADER.strip().split(",")}), "has no rows"),
    "registration.csv": ("name,name,variant_name,is_control\na,b,c,true\n",
                         "has the column name more than once"),
    "keys.json": (f"[{SUBMISSION % (DAYS[0], ROW)}, {SUBMISSION % (DAYS[1], TWICE)}]",
                  "names the key 'clicks' twice"),
    "no_list.json": ('{"experiment": "checkout", "date": "2025-03-18", "metrics": {}}',
                     "is not an object with a list `metrics`"),
    "half.json": (f"[{SUBMISSION % (DAYS[0], ROW)}, {SUBMISSION % (DAYS[1], '7')}]",
                  "has a metric that is not an object"),
    "mixed.json": (f'[{SUBMISSION % (DAYS[0], ROW)}, {{"name": "x", "variants": []}}]',
                   "does not state its day"),
    "deep.json": ("[" * 100_000, "is not JSON"),
    "columns.parquet": (two_of_a_column(), "has the column clicks more than once"),
    "floats.parquet": (parquet(date=["2025-03-18"], experiment=["x"], variant_name=["y"],
                               impressions=[1.5], clicks=[0]), "has the column impressions as"),
    "null_day.parquet": (parquet(date=[DAYS[0], None], experiment=["x"] * 2,
                                 variant_name=["y"] * 2, impressions=[1] * 2, clicks=[0] * 2),
                         "states the date 'None'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_run_could_not_read_is_refused_whole(registered, tmp_path, name):
    content, expected = REFUSED[name]
    with pytest.raises(InboxError, match=re.escape(expected)):
        intake(registered).add(put(tmp_path, name, content))
    assert metrics(registered) == []


@pytest.mark.parametrize(
    ("make", "expected"),
    [(os.mkfifo, "is not a regular file"), (Path.mkdir, "is not a regular file"),
     (lambda path: path.symlink_to(path), "cannot be read: Too many levels")],
    ids=["pipe", "folder", "loop"],
)  # fmt: skip
def test_what_is_no_file_is_refused_and_blocks_nobody(registered, tmp_path, make, expected):
    make(tmp_path / "x.csv")
    with pytest.raises(InboxError, match=expected):
        intake(registered).add(tmp_path / "x.csv")


def test_a_file_over_the_limits_is_refused_and_one_at_the_limit_is_taken(make_world, tmp_path):
    world = make_world(inbox_max_file_mb=1, inbox_max_file_rows=3)
    text = FIVE_DAYS[: FIVE_DAYS.index(DAYS[3])]
    line = f"{DAYS[3]},{NAME},control,1,0\n"
    with pytest.raises(InboxError, match="INBOX_MAX_FILE_ROWS allows"):
        intake(world).add(put(tmp_path, "rows.csv", text + line))
    wide = text.replace("date,", "note,date,").replace("2025", "%s,2025")
    room = (1 << 20) - len(wide % ("", "", ""))
    with pytest.raises(InboxError, match="INBOX_MAX_FILE_MB allows 1 MB"):
        intake(world).add(put(tmp_path, "bytes.csv", wide % ("x" * (room + 1), "", "")))
    assert metrics(world) == []
    third = "x" * (room // 3)
    at_the_limit = put(tmp_path, "bytes.csv", wide % (third, third, "x" * (room - 2 * len(third))))
    assert at_the_limit.stat().st_size == 1 << 20
    assert len(intake(world).add(at_the_limit).added) == 3


def in_a_child(work, *arguments) -> int | None:
    child = FORK.Process(target=work, args=arguments)
    child.start()
    child.join(120)
    return child.exitcode


def _killed_at_name(world, path: Path, number: int) -> None:
    real, calls = Path.hardlink_to, []

    def link(self: Path, target: Path) -> None:
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(self)
        real(self, target)

    Path.hardlink_to = link
    intake(world).add(path)


@pytest.mark.parametrize("number", range(5))
def test_killed_in_the_middle_the_next_try_completes_it(world, tmp_path, number):
    path = put(tmp_path, "five.csv", FIVE_DAYS)
    assert in_a_child(_killed_at_name, world, path, number) == -signal.SIGKILL
    result = intake(world).add(path)
    assert (len(result.added), len(result.unchanged)) == (5 - number, number)
    again = intake(world).add(path)
    assert (again.added, len(again.unchanged)) == ([], 5)
    whole = [name for name in metrics(world) if "/." not in name]
    assert [name.split("/")[1] for name in whole] == DAYS
    for name, line in zip(whole, FIVE_DAYS.splitlines()[1:], strict=True):
        assert (world.inbox / name).read_text().splitlines()[1] == line.partition(",")[2]


def _on_a_full_disk(world, path: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        intake(world).add(path)
    except InboxError as error:
        os._exit(0 if "cannot be written" in str(error) else 2)
    os._exit(1)


def test_a_disk_that_fills_up_in_the_middle_adds_nothing_and_then_all_of_it(world, tmp_path):
    large = f"{DAYS[4]},{NAME},control,1,0\n" * 200
    path = put(tmp_path, "five.csv", FIVE_DAYS + large)
    assert in_a_child(_on_a_full_disk, world, path) == 0
    assert metrics(world) == []
    assert len(intake(world).add(path).added) == 5


def test_a_name_that_is_taken_by_something_else_adds_nothing(world, tmp_path):
    path = put(tmp_path, "five.csv", FIVE_DAYS)
    (world.inbox / "metrics").mkdir()
    (world.inbox / "metrics" / DAYS[4]).write_text("no folder")
    with pytest.raises(InboxError, match="cannot be written"):
        intake(world).add(path)
    assert metrics(world) == [f"metrics/{DAYS[4]}"]


def test_a_part_that_somebody_changed_in_the_inbox_is_not_called_unchanged(world, tmp_path):
    path = put(tmp_path, "five.csv", FIVE_DAYS)
    name = intake(world).add(path).added[2]
    world.drop(name, "experiment,variant_name,impressions,clicks\n")
    with pytest.raises(InboxError, match="in the inbox with other content"):
        intake(world).add(path)


def body(name: str, *variants: str) -> dict[str, object]:
    rows = [{"name": v, "is_control": v == variants[0]} for v in variants]
    return {"name": name, "variants": rows}


def test_of_several_experiments_all_are_added_or_none(world, tmp_path):
    pause = {"experiment": "new", "status": "paused", "changed_by": "ana"}
    taken = body(NAME, "control", "other")
    before = sorted((world.inbox / "experiments").rglob("*"))
    with pytest.raises(ConflictError, match="already registered with a different body"):
        intake(world).add(put(tmp_path, "a.json", json.dumps([body("new", "a", "b"), taken])))
    impossible = {"experiment": "new", "retire_variants": ["a"], "changed_by": "ana"}
    second = put(tmp_path, "b.json", json.dumps([body("new", "a", "b"), impossible]))
    with pytest.raises(ConflictError, match="retires the control"):
        intake(world).add(second)
    assert sorted((world.inbox / "experiments").rglob("*")) == before
    good = put(
        tmp_path, "c.json", json.dumps([body("new", "a", "b"), pause, body("third", "a", "b")])
    )
    assert len(intake(world).add(good).added) == 3
    assert intake(world).add(good).added == []
    changed = world.inbox / f"experiments/{experiment_id_of('new')}/changed-0001.json"
    assert json.loads(changed.read_bytes())["status"] == "paused"


def test_a_hidden_or_strange_name_is_stored_under_one_that_the_run_loads(world, tmp_path):
    strange = (".hidden.csv", "..csv", "a\nb.csv", "\u202egnp.csv", "x" * 251 + ".csv",
               os.fsdecode(b"caf\xe9.csv"))  # fmt: skip
    for place, name in enumerate(strange):
        text = HEADER + f"2025-03-18,{NAME},control,{300 + place},3\n"
        (added,) = intake(world).add(put(tmp_path, name, text)).added
        assert added.split("/")[2].isprintable()
    listed = world.platform.inbox.files_of_day(world.clock().date().replace(day=18))
    assert len(listed) == len(strange)
    assert {world.platform.inbox.read(file).error for file in listed} == {None}


BAD_ROWS = [
    ("checkout", "control", "1.5", "0"), ("checkout", "control", "", "0"),
    ("checkout", "control", " 7 ", "0"), ("checkout", "control", "9007199254740992", "0"),
    ("checkout", "control", "-3", "0"), ("checkout", "control", "4", "5"),
    ("checkout", "nobody", "4", "0"), ("nothing", "control", "4", "0"),
    ("exp_000000000000", "control", "4", "0"), ("../checkout", "control", "4", "0"),
    ("checkout", "control", "1e3", "0"), ("checkout", "control", "٣", "0"),
]  # fmt: skip
GOOD_ROWS = [("checkout", "control", "300", "3"), (experiment_id_of(NAME), "variant_a", "1", "1")]


def test_what_will_be_rejected_is_told_before_it_is_stored_as_the_run_then_rejects_it(
    world, tmp_path
):
    lines = [f"{day},{','.join(row)}\n" for day in DAYS[3:] for row in BAD_ROWS + GOOD_ROWS]
    told = []

    def tell(found):
        assert metrics(world) == []
        told.extend(found)

    intake(world).add(put(tmp_path, "bad.csv", HEADER + "".join(lines)), report=tell)
    world.run(DAYS[4], assets=("experiments", "raw_metrics", "daily_metrics"))
    rejected = world.query(
        "select rejection_reason, count(*) from validated_metrics where rejection_reason is not "
        "null group by all order by all"
    )
    assert [(found.reason, found.row_count) for found in told] == rejected
    rows = world.query(
        "select rejection_reason, 'row ' || row_number || ' of ' || source_file from "
        "validated_metrics"
    )
    examples = [(found.reason, text.split(": ")[0]) for found in told for text in found.examples]
    assert set(examples) <= set(rows)
    assert all(1 <= len(found.examples) <= 3 for found in told)


def test_the_command_says_what_will_be_rejected_and_what_its_limits_are(mab, tmp_path):
    home = tmp_path / "home"
    put(tmp_path, "checkout.json", json.dumps(body(NAME, "control", "b")))
    put(tmp_path, "bad.csv", FIVE_DAYS + f"{DAYS[4]},[bold]{NAME},control,1,0\n")
    code, out, err = mab(home)("ingest", "checkout.json", "bad.csv")
    lines = err.splitlines()
    assert (code, out) == (0, "")
    assert lines[1] == "will be rejected: 1 row (unknown_experiment)"
    assert re.fullmatch(
        rf"  row 2 of metrics/{DAYS[4]}/bad-\w+\.csv: '\[bold\]checkout', 'control', '1', '0'",
        lines[2],
    )
    assert sum(line.startswith("added metrics/") for line in lines) == 5
    _, out, _ = mab(home)("ingest", "--help")
    for limit in ("INBOX_MAX_FILE_MB", "INBOX_MAX_FILE_ROWS", "MAB_START_DATE", "as a whole"):
        assert limit in out
