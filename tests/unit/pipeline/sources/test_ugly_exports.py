"""Exports as people and tools spoil them: the right counts, or one sentence with a remedy."""

import datetime as dt
import io
import zipfile

import pyarrow as pa
import pytest
from openpyxl import Workbook

from mab_pipeline.sources.known_exports import KNOWN_EXPORTS, folded
from mab_store.errors import UnreadableFileError
from tests.unit.pipeline.sources.test_import_file import (
    COUNTS,
    HEAD,
    PLAIN,
    counts,
    parquet,
    read,
    workbook,
)

DAY = dt.date(2026, 11, 22)
ROWS = PLAIN.removeprefix(HEAD)


def merged() -> bytes:
    """A workbook whose date is one cell over two rows."""
    book = Workbook()
    for row in (HEAD.strip().split(","), [DAY, "x", "a", 100, 3], [None, "x", "b", 200, 5]):
        book.active.append(row)
    book.active.merge_cells("A2:A3")
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("export.csv", PLAIN)
    return buffer.getvalue()


NOTED = "date,note,experiment,variant,impressions,clicks\n"
NOTED += '2026-11-22,"two\nlines",x,a,100,3\n2026-11-22,,x,b,200,5\n'
PORTUGUESE = "Data,Item de linha,Criativo,Impressoes do servidor de anuncios,"
PORTUGUESE += "Cliques do servidor de anuncios\n"
READ = {
    "two header rows": ("a.csv", "Campaign,,,Delivery,\n" + PLAIN),
    "files that were joined": ("a.csv", f"{HEAD}2026-11-22,x,a,100,3\n{HEAD}2026-11-22,x,b,200,5"),
    "a mark in the middle": (
        "a.csv",
        "\ufeff" + PLAIN.replace("2026-11-22,x,b", "\ufeff2026-11-22,x,b"),
    ),
    "a total per group": (
        "a.csv",
        PLAIN + ",x Total,,300,8\n2026-11-22 Total,,,300,8\nSubtotal x,,,1,1",
    ),
    "names that the tool did not have": ("a.csv", PLAIN + "2026-11-22,x,(not set),9,1\n"),
    "apostrophes for thousands": ("a.csv", ROWS.replace("100", "1'000").join((HEAD, ""))),
    "rows out of order": ("a.csv", HEAD + "".join(reversed(ROWS.splitlines(keepends=True)))),
    "spaces behind a variant": ("a.csv", PLAIN.replace(",a,", ", a \u00a0,")),
    "a line break in a title": ("a.csv", PLAIN.replace("variant", '"Variant\nname"')),
    "a line break in another column": ("a.csv", NOTED),
    "lines that end as on an old Mac": ("a.csv", PLAIN.replace("\n", "\r")),
    "Excel's hint of its delimiter": ("a.csv", "sep=;\n" + PLAIN.replace(",", ";")),
    "titles without accents": ("a.csv", PORTUGUESE + ROWS.replace("2026-11-22", "22/11/2026")),
    "titles with separate accents": (
        "a.csv",
        "Data,Pedido,Criativo,Total de impresso\u0303es,Total de cliques\n"
        + ROWS.replace("2026-11-22", "22/11/2026"),
    ),
    "years of two digits": ("a.csv", PLAIN.replace("2026-11-22", "22/11/26")),
    "text that Parquet calls bytes": (
        "a.parquet",
        parquet(
            date=[DAY, DAY],
            experiment=pa.array([b"x", b"x"], pa.binary()),
            variant=pa.array([b"a", b"b"], pa.binary()),
            impressions=[100, 200],
            clicks=[3, 5],
        ),
    ),
}


@pytest.mark.parametrize("title", READ)
def test_an_ugly_export_has_the_same_counts(title):
    name, content = READ[title]
    if title == "apostrophes for thousands":
        assert counts(read(content, name))[0] == ("x", "a", "1000", "3")
        return
    assert counts(read(content, name)) == COUNTS


REFUSED = {
    "a merged date": (
        "a.xlsx",
        merged(),
        {},
        "no date in the column 'date' of row 3; fill the cell",
    ),
    "a week": ("a.csv", PLAIN.replace("2026-11-22", "2026 week 47"), {}, "which is no date"),
    "a year first": (
        "a.csv",
        PLAIN.replace("2026-11-22", "25-10-26"),
        {},
        "(?s)DD-MM-YY.*YY-MM-DD",
    ),
    "an error of the spreadsheet": (
        "a.csv",
        PLAIN.replace(",a,", ",#N/A,"),
        {},
        "'#N/A' as a name in",
    ),
    "an archive": ("a.csv.gz", b"\x1f\x8b", {}, "unpack it first"),
    "an archive called a workbook": ("a.xlsx", archive(), {}, "open it in Excel and save it again"),
    "white space": ("a.csv", b" \r\n\t\n", {}, "is empty; export it again"),
    "two columns that differ in case": (
        "a.csv",
        PLAIN.replace("clicks", "clicks,Clicks").replace(",3\n", ",3,4\n"),
        {},
        "more than once; rename or remove one",
    ),
    "bytes that are no text": (
        "a.parquet",
        parquet(
            date=[DAY],
            experiment=["x"],
            variant=pa.array([b"\xff"], pa.binary()),
            impressions=[1],
            clicks=[0],
        ),
        {},
        "no UTF-8 text",
    ),
}


@pytest.mark.parametrize("title", REFUSED)
def test_an_export_that_cannot_be_understood_is_refused_with_a_remedy(title):
    name, content, fields, says = REFUSED[title]
    with pytest.raises(UnreadableFileError, match=says):
        read(content, name, **fields)


STAY = ("(5)", "-5", "3.04%", "1.2K", "1e5", "#N/A", "=1+1", "12 345 6", "n/a", "1,23")


@pytest.mark.parametrize("text", STAY)
def test_a_count_that_is_no_number_stays_for_the_run_to_reject(text):
    export = read(f'{HEAD}2026-11-22,x,a,100,"{text}"\n2026-11-22,x,b,200,5\n')
    assert counts(export) == [("x", "a", "100", text), COUNTS[1]]


def test_formulas_that_were_never_computed_have_no_counts():
    content = workbook(HEAD.strip().split(","), (DAY, "x", "a", "=50*2", "=1+2"))
    assert counts(read(content, "a.xlsx")) == [("x", "a", "", "")]


def test_of_two_columns_that_differ_in_case_the_one_that_is_spelled_is_taken():
    content = PLAIN.replace("clicks", "Clicks,clicks").replace(",3\n", ",9,3\n")
    content = content.replace(",5\n", ",9,5\n")
    assert counts(read(content, clicks_column="clicks")) == COUNTS
    assert counts(read(content, clicks_column="Clicks"))[0] == ("x", "a", "100", "9")


def test_rows_without_a_name_or_that_repeat_the_header_are_left_out_and_noted():
    export = read(PLAIN + HEAD + "2026-11-22,(not set),a,9,1\n2026-11-22,x,(other),9,1\n")
    assert counts(export) == COUNTS
    assert export.notes == [
        "rows 5, 6 left out: (not set), or the like, in the place of a name",
        "row 4 left out: the header again",
    ]


def test_a_year_first_is_read_if_only_it_can_be_meant():
    days = PLAIN.replace("2026-11-22", "22-11-26")
    assert {count.day for count in read(days).counts} == {DAY}
    assert (
        read(PLAIN.replace("2026-11-22", "26-11-22"), date_format="YY-MM-DD").counts[0].day == DAY
    )


def test_each_name_of_a_known_export_is_written_as_it_is_compared():
    names = [name for known in KNOWN_EXPORTS for role in known.columns.values() for name in role]
    assert names == list(map(folded, names))
