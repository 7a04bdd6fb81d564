"""`mab ingest`: files of every form, put where they belong or refused whole."""

import datetime as dt
import io
import json

import pandas as pd
import pytest

from mab_pipeline.operations.ingest import Intake
from mab_store.errors import ConflictError, InboxError
from mab_store.experiments.schemas import experiment_id_of

DAY = "2025-03-18"
ROWS = "experiment,variant_name,impressions,clicks\ncheckout,control,300,3\n"
BODY = {
    "name": "checkout",
    "variants": [{"name": "control", "is_control": True}, {"name": "variant_a"}],
}


@pytest.fixture
def intake(world):
    return Intake(world.platform.inbox, world.settings.mab_start_date, world.clock())


@pytest.fixture
def add(intake, tmp_path):
    """Ingest a file of this name and content; return (added, unchanged)."""

    def ingest(name, content, day=None):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        asked = Intake(intake.inbox, intake.first_day, intake.now, day)
        result = asked.add(path)
        return result.added, result.unchanged

    return ingest


def listing(world):
    return sorted(str(p.relative_to(world.inbox)) for p in world.inbox.rglob("*.*"))


def submission(day=DAY, **more):
    metric = {"variant_name": "control", "impressions": 300, "clicks": 3}
    return {"experiment": "checkout", "date": day, "metrics": [metric], **more}


def parquet(**columns):
    buffer = io.BytesIO()
    pd.DataFrame(columns).to_parquet(buffer)
    return buffer.getvalue()


def test_every_form_of_metrics_goes_to_the_folder_of_its_day_and_gives_the_same_counts(world, add):
    world.register("checkout")
    day = dt.date.fromisoformat(DAY)
    columns = {"experiment": ["checkout"], "variant_name": ["control"]}
    counts = {"impressions": [300], "clicks": [3]}
    forms = {
        "plain.csv": (ROWS, day),
        "dated.csv": (ROWS.replace("clicks", "clicks,date").replace(",3\n", f",3,{DAY}\n"), None),
        "post.json": (json.dumps(submission()), None),
        "list.json": (json.dumps([submission()]), None),
        "undated.json": (json.dumps({k: v for k, v in submission().items() if k != "date"}), day),
        "plain.parquet": (parquet(**columns, **counts), day),
        "dated.parquet": (parquet(metric_date=[day], **columns, **counts), None),
    }
    for name, (content, asked) in forms.items():
        (added,), unchanged = add(name, content, asked)
        stem, extension = name.split(".")
        assert added.startswith(f"metrics/{DAY}/{stem}-")
        assert added.endswith(f".{extension}")
        assert unchanged == []
    world.run(DAY, assets=("experiments", "raw_metrics", "daily_metrics"))
    rows = world.query("select variant_name, impressions, clicks, error from raw_metrics")
    assert rows == [("control", "300", "3", None)] * len(forms)


def test_a_csv_with_a_date_column_is_split_by_day(world, add):
    text = "metric_date,experiment,variant_name,impressions,clicks\n"
    text += "2025-03-17,checkout,control,1,0\n2025-03-18,checkout,control,2,0\n"
    text += "2025-03-17,checkout,variant_a,007,0\n"
    added, _ = add("history.csv", text)
    assert [name.split("/")[1] for name in added] == ["2025-03-17", "2025-03-18"]
    first = (world.inbox / added[0]).read_text().splitlines()
    assert first == [
        "experiment,variant_name,impressions,clicks",
        "checkout,control,1,0",
        "checkout,variant_a,007,0",  # as received, digit for digit
    ]


def test_a_list_of_submissions_is_split_by_day(add):
    added, _ = add("posts.json", json.dumps([submission(), submission("2025-03-17")]))
    assert [name.split("/")[1] for name in added] == ["2025-03-17", DAY]


def test_the_same_file_twice_is_one_file(world, add):
    day = dt.date.fromisoformat(DAY)
    (name,), _ = add("export.csv", ROWS, day)
    assert add("export.csv", ROWS, day) == ([], [name])
    (other,), _ = add("export.csv", ROWS.replace("300", "301"), day)
    assert listing(world) == sorted([name, other])


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.csv", ROWS, "give --date"),
        ("a.csv", ROWS.replace("clicks", "clicks,date").replace(",3\n", ",3,18.03.2025\n"),
         "states the date '18.03.2025'; dates are written YYYY-MM-DD"),
        ("a.csv", ROWS.replace("clicks", "clicks,date").replace(",3\n", ",3,2024-12-31\n"),
         "states the date 2024-12-31, before MAB_START_DATE=2025-01-01"),
        ("a.csv", ROWS.replace("clicks", "clicks,date").replace(",3\n", ",3,2025-03-21\n"),
         "states the date 2025-03-21, which is in the future"),
        ("a.csv", "date,experiment,impressions,clicks\n2025-03-18,x,1,1\n", "variant_name"),
        ("a.csv", "", "is empty"),
        ("a.json", "{", "is not JSON"),
        ("a.json", "[]", "is neither an object nor a list of objects"),
        ("a.json", json.dumps({"metrics": []}), "does not state its day; give --date"),
        ("a.json", json.dumps(submission("2025-02-30")), "states the date '2025-02-30'"),
        ("a.json", json.dumps({"name": "x", "variants": []}), "variants: "),
        ("a.json", json.dumps({"status": "paused"}), "experiment_id: Field required"),
        ("a.parquet", b"rubbish", "is not a Parquet file"),
        ("a.txt", "hello", "has the extension '.txt'; .json, .csv and .parquet are read"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_whole_with_the_reason(world, add, name, content, expected):
    with pytest.raises(InboxError) as caught:
        add(name, content)
    assert expected in str(caught.value)
    assert str(caught.value).endswith("Nothing of it was added.")
    assert listing(world) == []


def test_one_bad_day_keeps_the_whole_file_out(world, add):
    text = "date,experiment,variant_name,impressions,clicks\n"
    text += "2025-03-18,checkout,control,1,0\n2099-01-01,checkout,control,1,0\n"
    with pytest.raises(InboxError, match="in the future"):
        add("history.csv", text)
    assert listing(world) == []


def test_experiments_come_as_json_or_csv_and_the_same_body_again_is_the_same(world, add):
    expected = f"checkout ({experiment_id_of('checkout')})"
    assert add("checkout.json", json.dumps(BODY)) == ([expected], [])
    assert add("again.json", json.dumps([BODY])) == ([], [expected])
    text = "name,variant_name,is_control,description,start_date\n"
    text += "other,a,true,what,2025-03-01\nother,b,false,what,2025-03-01\n"
    text += "third,a,false,,\nthird,b,true,,\n"
    added, _ = add("experiments.csv", text)
    assert [name.split()[0] for name in added] == ["other", "third"]
    world.run(DAY, assets=("experiments",))
    rows = world.query(
        "select experiment_name, description, cast(start_date as varchar), variant_name "
        "from experiments join variants using (experiment_id) where is_control order by 1"
    )
    assert rows == [
        ("checkout", None, None, "control"),
        ("other", "what", "2025-03-01", "a"),
        ("third", None, None, "b"),
    ]


def test_another_body_under_a_taken_name_is_a_conflict_and_never_an_overwrite(world, add):
    add("checkout.json", json.dumps(BODY))
    before = {name: (world.inbox / name).read_bytes() for name in listing(world)}
    with pytest.raises(ConflictError, match="already registered with a different body"):
        add("checkout.json", json.dumps(BODY | {"description": "other"}))
    assert {name: (world.inbox / name).read_bytes() for name in listing(world)} == before


def test_a_change_names_its_experiment_by_id_or_name_and_is_made_now(world, add):
    add("checkout.json", json.dumps(BODY))
    change = {"experiment": "checkout", "status": "paused", "changed_by": "ana"}
    (name,), _ = add("pause.json", json.dumps(change | {"created_at": "1999-01-01T00:00:00Z"}))
    event = json.loads((world.inbox / name).read_bytes())
    assert (event["status"], event["changed_by"]) == ("paused", "ana")
    assert event["created_at"].startswith("2025-03-20T02:00:00")
    assert add("again.json", json.dumps(change)) == ([], [name])
    with pytest.raises(ConflictError, match="is registered"):
        add("pause.json", json.dumps(change | {"experiment": "nobody"}))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"experiment": "checkout", "status": "paused"}, "changed_by: Field required"),
        ({"status": "paused", "changed_by": "ana"}, "experiment_id: Field required"),
        ({"experiment_id": "x", "status": "paused", "changed_by": "ana"}, "experiment_id: String"),
        ({"experiment": "checkout", "changed_by": "ana"}, "must set status"),
        ({"experiment": "checkout", "changed_by": "ana", "name": "x"}, "is never renamed"),
        ({"experiment": "checkout", "changed_by": "ana", "retire_variants": ["x"]},
         "retires the variant 'x', which is not active"),
    ],
)  # fmt: skip
def test_a_change_that_makes_no_sense_is_refused_with_the_reason(world, add, change, expected):
    add("checkout.json", json.dumps(BODY))
    before = listing(world)
    with pytest.raises(InboxError, match=expected):
        add("change.json", json.dumps(change))
    assert listing(world) == before


def test_the_command_adds_the_good_files_names_the_bad_ones_and_fails(mab, tmp_path):
    (tmp_path / "checkout.json").write_text(json.dumps(BODY))
    (tmp_path / "export.csv").write_text(ROWS)
    (tmp_path / "bad.json").write_text("{")
    code, out, err = mab(tmp_path / "home")(
        "ingest", "--date", DAY, "checkout.json", "bad.json", "missing.csv", "export.csv"
    )
    lines = err.splitlines()
    assert (code, out) == (1, "")
    assert lines[0] == f"added checkout ({experiment_id_of('checkout')})"
    assert lines[1].startswith("mab: bad.json is not JSON: ")
    assert lines[2] == "mab: missing.csv cannot be read: No such file or directory."
    assert lines[3].startswith(f"added metrics/{DAY}/export-")
    code, _, err = mab(tmp_path / "home")("ingest", "--date", "2099-01-01", "export.csv")
    assert code == 2
    assert "--date 2099-01-01 is in the future." in err
