"""`mab import`: from four raw exports to tomorrow's shares, and what it says on the way."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mab_pipeline.cli.main import app
from mab_pipeline.resources import build_platform
from mab_store.errors import MabError
from mab_store.settings import load_settings
from tests.integration.sources import exports
from tests.integration.sources.exports import DAYS

Mab = Callable[..., str]


@pytest.fixture(scope="module")
def home(tmp_path_factory, clean_environment) -> Path:
    home = tmp_path_factory.mktemp("home") / "mab"
    clean_environment.setenv("MAB_HOME", str(home))
    clean_environment.setenv("COLUMNS", "200")
    return home


@pytest.fixture(scope="module")
def mab(home) -> Mab:  # noqa: ARG001  # its environment
    """Return the command line of one home, in this process: what it prints, or its error."""

    def call(*arguments: str | Path, fails: bool = False, answers: str = "") -> str:
        result = CliRunner().invoke(app, list(map(str, arguments)), input=answers)
        error = result.exception if isinstance(result.exception, MabError) else None
        if result.exception and not error and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert (result.exit_code != 0) is fails, result.output
        return result.output + (f"mab: {error}" if error else "")

    return call


@pytest.fixture(scope="module")
def put(tmp_path_factory) -> Callable[[str, bytes], Path]:
    folder = tmp_path_factory.mktemp("exports")

    def put_file(name: str, content: bytes) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return put_file


@pytest.fixture(scope="module")
def imported(mab, put) -> dict[str, str]:
    """Import the four exports; return what was said of each."""
    return {
        "ad_manager": mab(
            *("import", put("gam.csv", exports.ad_manager()), "--yes"),
            *("--where", "Order = Homepage CTA"),
        ),
        "portuguese": mab(
            *("import", put("relatorio.csv", exports.ad_manager_portuguese()), "--yes")
        ),
        "analytics": mab(
            *("import", put("free-form.csv", exports.google_analytics()), "--yes"),
            *("--name", "ga"),
        ),
        "excel": mab("import", put("news.xlsx", exports.excel()), "--yes", "--control", "A"),
    }


def files(home: Path) -> list[str]:
    inbox = home / "inbox"
    found = (path for path in inbox.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(inbox)) for path in found)


@pytest.mark.usefixtures("imported")
def test_four_raw_exports_become_shares_in_three_commands(mab):
    mab("run")  # yesterday, with the days that its windows see
    bodies = json.loads(mab("allocations", "--format", "json"))
    counts = {
        body["experiment_name"]: {
            variant["variant_name"]: (
                variant["is_control"],
                variant["metrics"]["impressions"],
                variant["metrics"]["clicks"],
            )
            for variant in body["allocations"]
        }
        for body in bodies
    }
    days = len(DAYS)
    assert counts == {
        "homepage_cta": {
            "control": (True, 10_200 * days, 310 * days),
            "green": (False, 10_100 * days, 360 * days),
        },
        "Promoção de verão": {
            "Controle": (True, 9_800 * days, 290 * days),
            "Botão azul": (False, 9_900 * days, 330 * days),
        },
        "spring_banner": {
            "original": (True, 10_000 * days, 280 * days),
            "photo": (False, 10_000 * days, 320 * days),
        },
        "newsletter": {"A": (True, 4_000 * days, 80 * days), "B": (False, 4_100 * days, 95 * days)},
    }
    assert all(
        sum(v["allocation_percentage"] for v in body["allocations"]) == pytest.approx(100)
        for body in bodies
    )


def test_it_shows_what_it_understood(imported):
    said = imported["ad_manager"]
    assert "Google Ad Manager, CSV with commas, header in row 4" in said
    assert "Date (MM/DD/YYYY)" in said
    assert "28 rows were left out by the filter" in said
    assert "row 61 left out: a total" in said
    assert f"{DAYS[0]} to {DAYS[-1]} (14)" in said
    assert "142,800" in said
    assert "will be registered: homepage_cta (control: control; against: green)" in said
    assert f"run --from {DAYS[0]} --to {DAYS[-1]}" in said
    assert "dates that fit two orders are read with the day first" in imported["portuguese"]
    said = imported["analytics"]
    assert "28 rows were added to others of the same day and variant" in said
    assert "says 840,000 impressions, and the rows add up to 280,000" in said
    assert "Excel, sheet 'Data', header in row 3" in imported["excel"]


@pytest.mark.usefixtures("imported")
def test_the_same_export_again_adds_nothing_and_a_corrected_one_only_its_days(mab, put, home):
    before = files(home)
    path = put("renamed (1).csv", exports.google_analytics())
    assert "there already, unchanged: 14 files" in mab("import", path, "--mapping", "ga", "--yes")
    assert files(home) == before
    corrected = exports.google_analytics().replace(
        f"{DAYS[3]:%Y%m%d},spring_banner,photo,mobile,5000,160".encode(),
        f"{DAYS[3]:%Y%m%d},spring_banner,photo,mobile,5000,161".encode(),
    )
    mab("import", put("corrected.csv", corrected), "--mapping", "ga", "--yes")
    (added,) = set(files(home)) - set(before)
    assert added.startswith(f"metrics/{DAYS[3]}/ga.")
    mab("import", path, "--mapping", "ga", "--yes")  # the correction was wrong
    (again,) = set(files(home)) - {*before, added}
    assert again.endswith(".2.csv")
    receipts = build_platform(load_settings(_env_file=None)).inbox.receipts_of(DAYS[3])
    newest = max(receipts.values(), key=lambda receipt: receipt.received_at)
    assert newest.source_file == again


@pytest.mark.usefixtures("imported")
def test_a_dry_run_and_a_call_that_cannot_ask_store_nothing(mab, put, home):
    before = files(home)
    path = put("new.csv", exports.ad_manager().replace(b"homepage_cta", b"checkout"))
    assert "Nothing was stored (--dry-run)." in mab("import", path, "--dry-run")
    held = put("held.csv", exports.ad_manager())
    said = mab("import", held, "--dry-run", "--control", "green", "--where", "Order = Homepage CTA")
    assert "--control changes nothing" in said
    assert "give --dry-run to see" in mab("import", path, fails=True)
    assert files(home) == before


@pytest.mark.usefixtures("imported")
def test_two_files_with_other_counts_of_a_day_are_refused_and_the_same_file_twice_is_not(
    mab, put, home
):
    before = files(home)
    text = f"date,experiment,variant,impressions,clicks\n{DAYS[0]},pair,a,100,%d\n"
    text += f"{DAYS[0]},pair,b,100,5\n"
    first, same, other = (
        put(name, (text % clicks).encode())
        for name, clicks in (("first.csv", 4), ("same.csv", 4), ("other.csv", 6))
    )
    said = mab("import", first, same, other, "--yes", fails=True)
    assert "first.csv and " in said
    assert f"other.csv both have counts of 'a' of 'pair' on {DAYS[0]}" in said
    assert files(home) == before
    assert "will be registered: pair" in mab("import", first, same, "--dry-run")


def test_new_variants_that_differ_in_case_alone_are_refused(mab, put, home):
    before = files(home)
    text = f"date,experiment,variant,impressions,clicks\n{DAYS[0]},case,Green,100,4\n"
    path = put("case.csv", f"{text}{DAYS[0]},case,green,100,4\n".encode())
    said = mab("import", path, "--yes", "--control", "green", fails=True)
    assert "'Green' and 'green', which differ in case, spaces or accents alone" in said
    assert files(home) == before


@pytest.mark.usefixtures("imported")
def test_a_kept_mapping_reads_a_day_whose_date_is_ambiguous(mab, put):
    day = next((day for day in DAYS if day.day <= 12), DAYS[0])
    text = (
        "Date,Order,Line item,Creative,Ad server impressions,Ad server clicks\n"
        f"{day:%m/%d/%Y},Homepage CTA,homepage_cta,control,7,1\n"
    )
    path = put("one-day.csv", text.encode())
    said = mab("import", path, "--mapping", "homepage_cta", "--dry-run")
    assert f"{day} to {day} (1)" in said


@pytest.mark.usefixtures("imported")
def test_rows_that_the_run_will_reject_are_shown_with_their_row_before_they_are_stored(
    mab, put, home
):
    before = files(home)
    text = (
        "date,experiment,variant,impressions,clicks\n"
        f"{DAYS[0]},newsletter,A,100,120\n"
        f"{DAYS[0]},newsletter,B,n/a,1\n"
        f"{DAYS[1]},newsletter,B,100,1\n"
    )
    said = mab("import", put("bad-rows.csv", text.encode()), "--dry-run")
    assert "1 row (clicks_exceed_impressions)" in said
    assert "Look for swapped columns in the export." in said
    assert f"row 2 of {put('bad-rows.csv', text.encode())}" in said
    assert "1 row (not_an_integer)" in said
    assert files(home) == before


def broken() -> dict[str, tuple[str, bytes, tuple[str, ...], str]]:
    """Return broken exports: file name, content, options, and what the sentence says."""
    head = "date,experiment,variant,impressions,clicks\n"
    day, future = DAYS[0], dt.date(2999, 1, 1)
    good = f"{day},newsletter,A,100,1\n"
    book = exports.Workbook()
    book.active.append(["date", "experiment", "variant", "impressions", "clicks"])
    two = exports.Workbook()
    for sheet in (two.active, two.create_sheet("Second")):
        sheet.append(["date", "experiment", "variant", "impressions", "clicks"])
        sheet.append([day, "newsletter", "A", 100, 1])
    serial = exports.Workbook()
    serial.active.append(["date", "experiment", "variant", "impressions", "clicks"])
    serial.active.append([45_982, "newsletter", "A", 100, 1])
    ambiguous = "03/04/2025,newsletter,A,100,1\n"
    cases = [
        ("empty", "a.csv", "", (), "is empty"),
        ("another kind", "a.pdf", "%PDF", (), "has the extension '.pdf'"),
        ("old Excel", "a.xls", "x", (), "save it as .xlsx or .csv"),
        ("no table", "a.csv", "hello\nworld\n", (), "has no header in its first 100 rows"),
        ("a page", "a.csv", "<html><body>Sign in</body></html>", (), "has no header"),
        ("no clicks", "a.csv", "date,experiment,variant,impressions\n", (), "--clicks-column"),
        ("no date", "a.csv", head.replace("date", "d"), (), "--date-column or --date DAY"),
        ("header only", "a.csv", head, (), "has no rows of counts"),
        ("column twice", "a.csv", head.replace("\n", ",clicks\n") + good, (), "more than once"),
        (
            *("two candidates", "a.csv", head.replace("impressions", "users,sessions") + good),
            *((), "--impressions-column"),
        ),
        ("no such column", "a.csv", head + good, ("--clicks-column", "Taps"), "Taps"),
        ("no such filter", "a.csv", head + good, ("--where", "Order = X"), "no column for Order"),
        ("filtered away", "a.csv", head + good, ("--where", "variant = Z"), "has 'A'"),
        ("no date in it", "a.csv", head + good + "soon,newsletter,A,1,1\n", (), "row 3"),
        ("no such day", "a.csv", head + good.replace(str(day), "2025-02-30"), (), "'2025-02-30'"),
        (
            *("two orders", "a.csv", head + ambiguous),
            *((), "is 3 April 2025 (--date-format DD/MM/YYYY) or 4 March 2025"),
        ),
        (
            *("mixed orders", "a.csv", head + "22/04/2025,newsletter,A,1,1\n04/22/2025,x,A,1,1\n"),
            *((), "export it with one form"),
        ),
        (
            *("another format", "a.csv", head + good, ("--date-format", "DD/MM/YYYY")),
            "no date of the form DD/MM/YYYY",
        ),
        ("future", "a.csv", head + good.replace(str(day), str(future)), (), "in the future"),
        ("early", "a.csv", head + good.replace(str(day), "2019-01-01"), (), "MAB_START_DATE"),
        ("Latin-1", "a.csv", (head + good.replace("A", "Á")).encode("latin-1"), (), "latin-1"),
        ("UTF-16", "a.csv", (head + good).encode("utf-16-le"), (), "--encoding utf-16"),
        ("open quote", "a.csv", head + good.replace("A", '"A'), (), "never closed"),
        ("unquoted comma", "a.csv", head + good.replace("100", "1,000"), (), "needs quotes"),
        ("thousands", "a.csv", head.replace(",", ";") + f"{day};x;A;1.000;1", (), "--decimal"),
        ("a row twice", "a.csv", head + good + good, (), "equal to row 2"),
        ("no workbook", "a.xlsx", "date,experiment", (), "is not an .xlsx workbook"),
        ("empty sheet", "a.xlsx", exports.saved(book), (), "has no rows of counts"),
        ("two sheets", "a.xlsx", exports.saved(two), (), "choose with --sheet"),
        ("no such sheet", "a.xlsx", exports.saved(two), ("--sheet", "Third"), "has no sheet"),
        ("Excel's numbers", "a.xlsx", exports.saved(serial), (), "format the column as a date"),
        ("cut workbook", "a.xlsx", exports.excel()[:2000], (), "is not an .xlsx workbook"),
        ("no Parquet", "a.parquet", "PAR1", (), "is not a Parquet file"),
        ("no JSON", "a.json", '{"date": ', (), "is not JSON"),
        ("half a report", "a.json", '{"dimensionHeaders": 1, "metricHeaders": 2}', (), "complete"),
        ("JSON of numbers", "a.json", "[1, 2]", (), "one object with its columns per row"),
        ("one variant", "a.csv", head + good.replace("newsletter", "x"), (), "has one variant"),
        (
            *("no control", "a.csv", head + f"{day},x,one,9,1\n{day},x,two,9,1\n", ()),
            "Give --control NAME",
        ),
        ("no such variant", "a.csv", head + good.replace("A", "Z"), (), "Every row would be"),
        (
            *("two experiments as one", "a.csv", head + good + good.replace("newsletter", "x")),
            *(("--experiment", "newsletter"), "leave --experiment out"),
        ),
        ("no such mapping", "a.csv", head + good, ("--mapping", "gone"), "There is no mapping"),
        ("bad filter", "a.csv", head + good, ("--where", "variant"), "must be 'COLUMN = VALUE'"),
        ("bad name", "a.csv", head + good, ("--name", "../x"), "use letters, digits"),
    ]
    return {
        title: (name, content.encode() if isinstance(content, str) else content, options, says)
        for title, name, content, options, says in cases
    }


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize("title", broken())
def test_a_broken_export_is_one_sentence_with_a_remedy_and_nothing_is_stored(mab, put, home, title):
    name, content, options, says = broken()[title]
    before = files(home)
    said = mab("import", put(name, content), "--yes", *options, fails=True)
    assert says in " ".join(said.split())
    assert said.count("mab: ") == 1
    assert "Traceback" not in said
    assert files(home) == before


@pytest.mark.usefixtures("imported")
def test_on_a_terminal_it_asks_for_the_order_of_the_date_and_for_the_control(
    mab, put, home, monkeypatch
):
    monkeypatch.setattr("mab_pipeline.cli.import_._is_terminal", lambda: True)
    text = (
        "date,experiment,variant,impressions,clicks\n"
        "03/04/2025,asked,one,100,1\n03/04/2025,asked,two,100,2\n"
    )
    path, before = put("asked.csv", text.encode()), files(home)
    mab("import", path, answers="n\nn\n", fails=True)
    mab("import", path, answers="n\ny\ntwo\nn\n", fails=True)
    assert files(home) == before
    said = mab("import", path, answers="n\ny\nthree\ntwo\ny\n")
    assert "three is none of them." in said
    assert "asked (control: two; against: one)" in said
    assert any(name.startswith("metrics/2025-03-04/asked.") for name in files(home))
