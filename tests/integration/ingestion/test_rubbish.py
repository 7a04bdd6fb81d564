"""Every kind of bad file in one day together with good ones: nothing fails, nothing is lost."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

DAY = "2025-03-19"
HEADER = "experiment,variant_name,impressions,clicks\n"
NOT_COUNTS = ["1.5", "1e3", "", " 7 ", "NaN", "٣", "7x", "+7", "0x10", "1_000", "∞"]
TOO_LARGE = ["9007199254740992", "9223372036854775808", "1" * 400]


def parquet(**columns):
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


BAD_FILES = {
    "truncated.json": (b'{"experiment": "checkout", "metrics": [{"variant_na', "is not JSON"),
    "list_of_numbers.json": (b"[1, 2]", "submission 1 is not an object"),
    "other_day.json": (
        json.dumps({"experiment": "checkout", "date": "2025-01-01", "metrics": []}).encode(),
        "is for '2025-01-01' but is in the folder of 2025-03-19",
    ),
    "twice.json": (b'{"metrics": [], "metrics": []}', "names the key 'metrics' twice"),
    "deep.json": (b"[" * 100_000, "nested too deeply"),
    "missing_column.csv": (b"experiment,variant_name,impressions\nx,y,1\n", "lacks the column"),
    "surplus_fields.csv": (
        (HEADER + "checkout,control,1,1,9\n").encode(),
        "has more fields in line 2",
    ),
    "empty.csv": (b"", "is empty"),
    "ff.csv": (HEADER.encode() + b"checkout,control,\xff,1\n", "byte 0xFF at offset 60"),
    "nul.csv": (HEADER.encode() + b"checkout,control,\0,1\n", "holds a NUL byte at offset 60"),
    "other_schema.parquet": (parquet(a=[1], b=["x"]), "lacks the column experiment"),
    "floats.parquet": (
        parquet(experiment=["checkout"], variant_name=["control"], impressions=[1.5], clicks=[1]),
        "has the column impressions as double",
    ),
    "not.parquet": (b"PAR1 and then rubbish", "is not a Parquet file"),
    "notes.txt": (b"hello", "has the extension '.txt'"),
    "over the limit.csv": (
        (HEADER + "checkout,control,1,1\n" * 60_000).encode(),
        "INBOX_MAX_FILE_MB allows 1 MB",
    ),
}


@pytest.fixture(scope="module")
def world(make_world):
    world = make_world(inbox_max_file_mb=1)
    world.register("checkout")
    names = ('it\'s "quoted".csv', "with spaces; drop table.csv", "naïve ٣.csv", "b'.csv")
    for name in names:
        world.drop(f"metrics/{DAY}/{name}", HEADER + "checkout,control,500,5\n")
    for name, (content, _) in BAD_FILES.items():
        world.drop(f"metrics/{DAY}/{name}", content)
    rows = [("checkout", "control", f'"{text}"', 0) for text in (*NOT_COUNTS, *TOO_LARGE, "-3")]
    rows += [
        ("checkout", "variant_a", 400, 8),
        ("checkout", "variant_a", 4, 5),
        ("checkout", "nobody", 4, 5),
        ("nothing", "control", 4, 5),
    ]
    world.metrics(DAY, *rows, name="counts.csv")
    for name in (".hidden.csv", "half.csv.part", "half.csv.tmp"):
        world.drop(f"metrics/{DAY}/{name}", "not a file yet")
    (world.inbox / f"metrics/{DAY}/folder.csv").mkdir()
    world.drop("metrics/yesterday/export.csv", HEADER + "checkout,control,1,1\n")
    world.drop("metrics/export.csv", HEADER + "checkout,control,1,1\n")
    world.drop("metrics/2025-02-30/export.csv", HEADER + "checkout,control,1,1\n")
    world.result = world.run(DAY)
    return world


def test_raw_metrics_says_what_was_wrong_with_each_file(world):
    found = dict(
        world.query(
            "select source_file, error from raw_metrics where error is not null and row_number = 0"
        )
    )
    assert set(found) == {f"metrics/{DAY}/{name}" for name in (*BAD_FILES, "folder.csv")}
    for name, (_, expected) in BAD_FILES.items():
        assert expected in found[f"metrics/{DAY}/{name}"], name


def test_the_good_rows_beside_them_are_accepted(world):
    rows = world.query("select variant_name, impressions, clicks, source_file from daily_metrics")
    # All files were first seen together: the one that was written last wins.
    assert sorted(rows) == [
        ("control", 500, 5, f"metrics/{DAY}/b'.csv"),
        ("variant_a", 400, 8, f"metrics/{DAY}/counts.csv"),
    ]
    assert world.bodies()["checkout"]["as_of_date"] == DAY


def test_every_row_has_its_verdict_and_the_account_is_settled(world):
    verdicts = dict(
        world.query(
            "select case when is_superseded then 'superseded' else "
            "coalesce(rejection_reason, 'accepted') end, count(*) from validated_metrics group by 1"
        )
    )
    assert verdicts == {
        "accepted": 2,
        "superseded": 3,  # four files say the same of the control
        "unreadable_file": len(BAD_FILES) + 1,
        "not_an_integer": len(NOT_COUNTS),
        "too_large": len(TOO_LARGE),
        "negative": 1,
        "clicks_exceed_impressions": 1,
        "unknown_variant": 1,
        "unknown_experiment": 1,
    }
    (received,) = world.query("select count(*) from raw_metrics")[0]
    assert sum(verdicts.values()) == received
    assert world.find("daily_metrics", "every_row_is_accounted_for", DAY) == []


def test_counts_that_are_no_integers_are_rejected_with_their_text_kept(world):
    kept = world.query(
        "select impressions from validated_metrics where rejection_reason = 'not_an_integer'"
    )
    assert sorted(text or "" for (text,) in kept) == sorted(NOT_COUNTS)


def test_files_that_somebody_is_still_writing_are_no_files_yet(world):
    names = {name for (name,) in world.query("select source_file from inbox_files")}
    assert not {name for name in names if "hidden" in name or "half" in name}


def test_misplaced_files_stand_in_the_ledger_with_what_to_do(world):
    rows = world.query(
        "select source_file, error from inbox_files "
        "where metric_date is null and source_file like 'metrics/%'"
    )
    assert sorted(name for name, _ in rows) == [
        "metrics/2025-02-30/export.csv",
        "metrics/export.csv",
        "metrics/yesterday/export.csv",
    ]
    assert all("belongs in metrics/<YYYY-MM-DD>/" in error for _, error in rows)


def test_the_warnings_name_the_files_and_stop_nothing(world, evaluations):
    check = evaluations(world.result, "raw_metrics", "files_are_readable")[DAY]
    assert not check.passed
    assert check.severity.value == "WARN"
    # 15 bad files, the folder, and 3 misplaced ones.
    assert check.metadata["failures"].value == len(BAD_FILES) + 4
    assert "truncated.json is not JSON" in check.metadata["found"].value
    rejected = evaluations(world.result, "daily_metrics", "few_rows_are_rejected")[DAY]
    assert not rejected.passed


def test_the_same_rubbish_again_is_the_same(world):
    before = world.tables(volatile=True)
    world.run(DAY)
    assert world.tables(volatile=True) == before


def test_rubbish_among_the_experiment_files_is_quarantined_and_the_rest_counts(make_world):
    world = make_world()
    checkout = world.register("checkout")
    other = world.register("other")
    good = json.loads((world.inbox / f"experiments/{checkout}/registered.json").read_bytes())
    rubbish = {
        f"experiments/{checkout}/truncated.json": ('{"name": ', "is not JSON"),
        f"experiments/{checkout}/list.json": ("[]", "is not an experiment event"),
        f"experiments/{checkout}/ff.json": (b"\xff\xfe", "is not JSON"),
        f"experiments/{checkout}/notes.txt": ("hello", "is not a .json file"),
        f"experiments/{checkout}/other_body.json": (
            json.dumps(good | {"description": "x", "created_at": "2025-02-01T00:00:00Z"}),
            "again with a different body",
        ),
        f"experiments/{other}/stray.json": (json.dumps(good), "is in the folder"),
        f"experiments/{other}/no_change.json": (
            json.dumps({"experiment_id": other, "created_at": "2025-02-01T00:00:00Z"}),
            "must set status",
        ),
        "experiments/loose.json": (json.dumps(good), "is in the folder 'experiments'"),
        "experiments/exp_000000000000/orphan.json": (
            json.dumps(
                {
                    "experiment_id": "exp_000000000000",
                    "created_at": "2025-02-01T00:00:00Z",
                    "status": "paused",
                }
            ),
            "not registered yet",
        ),
    }
    for name, (content, _) in rubbish.items():
        world.drop(name, content)
    world.metrics(DAY, ("checkout", "control", 300, 3), ("checkout", "variant_a", 300, 3))
    result = world.run(DAY)
    errors = dict(world.query("select source_file, error from inbox_files where error is not null"))
    assert set(errors) == set(rubbish)
    for name, (_, expected) in rubbish.items():
        assert expected in errors[name]
    assert set(world.bodies()) == {"checkout", "other"}
    metadata = result.asset_materializations_for_node("experiments")[0].metadata
    assert metadata["quarantined_files"].value == len(rubbish)
    assert len(world.find("experiments", "event_files_are_readable", DAY)) == len(rubbish)


def test_the_warning_goes_when_the_rubbish_was_taken_away(make_world):
    world = make_world()
    world.register("checkout")
    names = ("experiments/broken.json", "metrics/nowhere/export.csv", f"metrics/{DAY}/broken.json")
    for name in names:
        world.drop(name, "{")
    loading = ("experiments", "raw_metrics")

    def findings():
        world.run(DAY, assets=loading)
        return [
            len(world.find("experiments", "event_files_are_readable", DAY)),
            len(world.find("raw_metrics", "files_are_readable", DAY)),
        ]

    assert findings() == [1, 2]
    for name in names:
        (world.inbox / name).unlink()
    assert findings() == [0, 0]
    assert world.find("experiments", "files_never_change", DAY) == []
    # The ledger remembers all three.
    assert world.query("select count(*) from inbox_files where error is not null") == [(3,)]
