"""Workbooks that are too large, far apart or damaged: refused in words, or read right."""

import io
import zipfile
from contextlib import suppress

import pytest
from openpyxl import Workbook

from mab_store.errors import UnreadableFileError
from mab_store.files.limits import Limits
from tests.unit.pipeline.sources.test_import_file import ACCEPTED, DAY, counts, read, workbook


def test_a_workbook_that_unpacks_to_too_much_is_refused_unread():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" " * (5 << 20))
    limits = ACCEPTED._replace(limits=Limits(1000, 1 << 20))
    with pytest.raises(UnreadableFileError, match="unpacks to 5 MB; at most 4 MB are read"):
        read(buffer.getvalue(), "a.xlsx", accepted=limits)


def test_a_cell_far_away_takes_no_memory_for_those_between():
    book = Workbook()
    for row in (("date", "experiment", "variant", "impressions", "clicks"), (DAY, "x", "a", 9, 1)):
        book.active.append(row)
    book.active["XFD1048576"] = "far"
    buffer = io.BytesIO()
    book.save(buffer)
    limits = ACCEPTED._replace(limits=Limits(1000, 1 << 20))
    with pytest.raises(UnreadableFileError, match="INBOX_MAX_FILE_ROWS"):
        read(buffer.getvalue(), "a.xlsx", accepted=limits)


@pytest.mark.parametrize("cut", range(0, 2000, 97))
def test_a_damaged_workbook_is_one_sentence_or_the_counts(cut):
    whole = workbook(
        ("date", "experiment", "variant", "impressions", "clicks"), (DAY, "x", "a", 100, 3)
    )
    damaged = whole[:cut] + bytes([whole[cut] ^ 0xFF]) + whole[cut + 1 :]
    with suppress(UnreadableFileError):
        assert counts(read(damaged, "a.xlsx"))
