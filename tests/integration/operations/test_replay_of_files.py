"""Replay: which files a decision can depend on, and which of them are laid out again."""

import dataclasses
import hashlib
from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from mab_pipeline.allocation.code_version import code_version
from mab_pipeline.allocation.recorded import Record, find_record
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.ingestion.file_ledger import GONE
from mab_pipeline.operations import replay as operation
from mab_pipeline.operations.replay import Replay, replay
from mab_store.experiments.schemas import experiment_id_of
from mab_store.warehouse.reader import open_reader
from tests.integration.steps import load, run

DAY = date(2025, 3, 19)
ONE_DAY = timedelta(days=1)
OLDEST = DAY - timedelta(days=29)  # the first day of the longest window
NAME = "checkout"
MOMENT = datetime.fromisoformat("2025-03-20T02:00:00")


@pytest.fixture(scope="module")
def world(make_world):
    """Two experiments; data on both sides of the first day of the longest window."""
    world = make_world(now="2025-03-20T02:00:00", mab_start_date=date(2025, 1, 1))
    for name in (NAME, "other"):
        world.register(name, created="2025-03-20T01:00:00Z")
    for day in (OLDEST - ONE_DAY, OLDEST, DAY):
        rows = [(name, v, 300, 3) for name in (NAME, "other") for v in ("control", "variant_a")]
        world.metrics(str(day), *rows)
    world.metrics(str(DAY), ("other", "control", 10, 1), name="of-the-other.csv")
    load(world, str(OLDEST - ONE_DAY))
    run(world, str(DAY))
    return world


@pytest.fixture(scope="module")
def record(world):
    with open_reader(world.settings) as reader:
        return find_record(reader, NAME, DAY)


def changed(record, **columns):
    """Return the record with other values in these columns of all rows."""
    rows = {name: row | columns for name, row in record.rows.items()}
    return dataclasses.replace(record, rows=rows)


def with_rule(record, **options):
    rule = dataclasses.replace(record.rule, **options)
    return changed(record, settings=rule.to_json())


def ledger_of(world, record, *, error=None):
    """Return ledger rows of a day each, and of event files of this and another experiment."""
    days = [OLDEST - ONE_DAY, OLDEST, DAY - ONE_DAY, DAY, DAY + ONE_DAY]
    rows = [(f"metrics/{day}/x.csv", day) for day in days]
    rows += [(f"experiments/{record.experiment_id}/registered.json", None)]
    rows += [(f"experiments/{record.experiment_id}0/registered.json", None)]
    rows += [("metrics/misplaced.csv", None)]
    table = world.platform.journal.read("inbox_files")
    filled = dict.fromkeys(table.column_names) | {"error": error}
    return pa.Table.from_pylist(
        [filled | {"source_file": name, "metric_date": day} for name, day in rows],
        schema=table.schema,
    )


def wanted(world, record, **options):
    rows = operation._wanted(ledger_of(world, record, **options), record, world.platform.inbox)
    return [row["source_file"] for row in rows]


def metrics(*days):
    return [f"metrics/{day}/x.csv" for day in days]


def test_a_decision_depends_on_its_events_and_the_days_of_the_longest_window(world, record):
    events = [f"experiments/{record.experiment_id}/registered.json"]
    assert wanted(world, record) == events + metrics(OLDEST, DAY - ONE_DAY, DAY)
    shorter = with_rule(record, max_window_days=14, default_window_days=14)
    assert wanted(world, shorter) == events + metrics(DAY - ONE_DAY, DAY)
    longer = with_rule(record, max_window_days=31)
    assert wanted(world, longer)[1] == metrics(OLDEST - ONE_DAY)[0]
    assert wanted(world, record, error="waits: for another") == []
    assert len(wanted(world, record, error="bad")) == 4  # its row with the reason counted


def test_with_burn_in_it_depends_on_every_day_up_to_its_own(world, record):
    names = wanted(world, with_rule(record, burn_in="on"))
    assert names[1:] == metrics(OLDEST - ONE_DAY, OLDEST, DAY - ONE_DAY, DAY)


@pytest.mark.parametrize(("as_of", "is_late"), [(DAY, False), (DAY - ONE_DAY, True)])
def test_one_that_was_registered_after_its_effective_date_depends_on_its_first_data(
    world, record, as_of, is_late
):
    """It was registered on the 20th: for the decision of the 18th that is a day too late."""
    moved = with_rule(changed(record, as_of_date=as_of), max_window_days=14)
    assert (metrics(OLDEST)[0] in wanted(world, moved)) is is_late
    assert (metrics(DAY)[0] in wanted(world, moved)) is (as_of == DAY)


def test_one_whose_registration_is_not_in_the_inbox_depends_on_all_days(world, record):
    nobody = Record("exp_nobody", "nobody", record.rows, record.version_ids)
    assert wanted(world, nobody)[1:] == metrics(OLDEST - ONE_DAY, OLDEST, DAY - ONE_DAY, DAY)


def test_files_that_were_gone_are_left_out_and_named():
    result = Replay(notes=["before"])
    rows = [
        {"source_file": "a", "error": GONE, "loaded_at": MOMENT},
        {"source_file": "b", "error": None, "loaded_at": MOMENT},
        {"source_file": "c", "error": "bad", "loaded_at": MOMENT},
    ]
    assert operation._without_gone(rows, result) == rows[1:]
    assert result.notes == [
        "before",
        "a was gone when this was decided (since 2025-03-20 02:00:00 UTC), so it is left out",
    ]


def test_the_first_day_is_that_of_the_oldest_file_and_never_later_than_the_decision(record):
    rows = [{"metric_date": day} for day in (DAY, OLDEST, None)]
    assert operation._first_day(rows, record) == OLDEST
    assert operation._first_day([], record) == DAY
    assert operation._first_day([{"metric_date": DAY + ONE_DAY}], record) == DAY


def test_code_and_numpy_are_noted_only_if_they_changed(record):
    assert operation._what_changed(record) == []
    now = code_version()
    assert operation._what_changed(changed(record, code_version="abc")) == [
        f"the rule's code is {now} now, abc then"
    ]
    assert operation._what_changed(changed(record, numpy_version="1.0")) == [
        f"numpy is {np.__version__} now, 1.0 then"
    ]


def test_the_past_has_the_recorded_windows_and_its_own_home(world, record, tmp_path):
    moved = with_rule(record, default_window_days=5, max_window_days=6, min_impressions=7)
    past = operation._past_platform(world.platform, moved, tmp_path)
    settings = past.settings
    assert (settings.default_window_days, settings.max_window_days) == (5, 6)
    assert settings.min_impressions == 7
    assert settings.mab_home == tmp_path
    assert past.inbox.root.is_relative_to(tmp_path)
    assert settings.mab_engine == "duckdb"
    assert past.clock() == record.computed_at


def test_an_inbox_elsewhere_is_not_the_past_ones(world, record, tmp_path):
    settings = world.settings.model_copy(
        update={"mab_inbox": str(world.inbox), "mab_engine": "snowflake"}
    )
    elsewhere = dataclasses.replace(world.platform, settings=settings)
    past = operation._past_platform(elsewhere, record, tmp_path)
    assert past.inbox.root.is_relative_to(tmp_path)
    assert past.settings.mab_engine == "duckdb"


def test_files_are_laid_out_as_they_are_and_each_difference_is_noted(world, record, tmp_path):
    inbox = world.platform.inbox
    past = operation._past_platform(world.platform, record, tmp_path)
    names = [f"metrics/{DAY}/export.csv", f"metrics/{OLDEST}/export.csv"]
    names += [f"experiments/{record.experiment_id}/registered.json"]
    contents = {name: (world.inbox / name).read_bytes() for name in names}
    rows = [
        {
            "source_file": name,
            "metric_date": date.fromisoformat(name.split("/")[1]) if "metrics" in name else None,
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        for name, content in contents.items()
    ]
    rows[1]["sha256"] = "another"
    rows.append({"source_file": f"metrics/{DAY}/gone.csv", "metric_date": DAY, "sha256": "x"})
    result = Replay()
    copied = operation._lay_out(inbox, past.inbox, rows, record.experiment_id, result)
    assert copied == 3
    assert result.notes == [
        f"{names[1]} has another content than then",
        f"metrics/{DAY}/gone.csv is no longer in the inbox",
    ]
    assert {name: past.inbox.payload(name) for name in names} == contents
    laid_out = [path for path in (tmp_path / "inbox").rglob("*") if path.is_file()]
    assert len(laid_out) == 3  # the file of the other experiment's rows was not asked for


def test_a_file_without_content_is_noted_and_not_laid_out(world, record, tmp_path):
    past = operation._past_platform(world.platform, record, tmp_path)
    small = dataclasses.replace(
        world.platform, settings=world.settings.model_copy(update={"inbox_max_file_mb": 1})
    )
    big = world.inbox / f"metrics/{DAY - ONE_DAY}/big.csv"
    big.parent.mkdir(parents=True, exist_ok=True)
    big.write_bytes(b"x" * (1 << 20))
    name = f"metrics/{DAY - ONE_DAY}/big.csv"
    inbox = type(world.platform.inbox)(small.inbox.root, max_file_bytes=(1 << 20) - 1)
    result = Replay()
    rows = [{"source_file": name, "metric_date": DAY - ONE_DAY, "sha256": "x"}]
    try:
        copied = operation._lay_out(inbox, past.inbox, rows, record.experiment_id, result)
    finally:
        big.unlink()
    assert copied == 0
    assert result.notes == [f"{name} has another content than then"]
    assert past.inbox.payload(name) is None


def test_earlier_decisions_are_read_only_for_burn_in(world, record):
    assert operation._earlier(world.platform, record) == {}
    burning = with_rule(record, burn_in="on")
    earlier = operation._earlier(world.platform, burning)["allocations"]
    assert len(earlier) == 0
    later = changed(burning, as_of_date=DAY + ONE_DAY)
    earlier = operation._earlier(world.platform, later)["allocations"]
    assert set(earlier["experiment_id"].to_pylist()) == {experiment_id_of(NAME)}
    assert set(earlier["allocation_id"].to_pylist()) == {record.head["allocation_id"]}


def test_a_replay_is_exact_and_every_compared_column_that_differs_is_shown(world, record):
    result = replay(world.platform, record)
    assert (result.differences, result.notes, result.is_exact) == ([], [], True)
    assert result.files == 1 + 1 + 2  # the registration, the oldest day, two files of DAY
    others = {
        column: ("x" if isinstance(record.head[column], str) else record.head[column] + 1)
        for column in operation.COMPARED
    }
    tampered = changed(record, **others)
    found = replay(world.platform, tampered).differences
    assert [(name, column) for name, column, *_ in found] == [
        (name, column) for name in sorted(record.rows) for column in operation.COMPARED
    ]
    for name, column, recorded, replayed in found:
        assert recorded == others[column]
        assert replayed == record.rows[name][column]


def test_a_row_too_many_and_one_too_few_are_differences(world, record):
    rows = {"invented": record.head} | {"control": record.rows["control"]}
    result = replay(world.platform, dataclasses.replace(record, rows=rows))
    assert result.differences == [
        ("invented", "row", "present", "absent"),
        ("variant_a", "row", "absent", "present"),
    ]
    assert not result.is_exact


def test_the_recorded_rule_counts_and_not_the_experiments_own_of_today(world, record):
    other = with_rule(record, prior_alpha=record.rule.prior_alpha + 1)
    found = replay(world.platform, other).differences
    assert {column for _, column, *_ in found} >= {"alpha", "allocation_id"}
    assert RuleSettings.of(world.settings) == record.rule
