"""Excel: the sheets of a workbook as rows of text.

A workbook is streamed row by row, since a cell far away from the others makes a reader of whole
sheets reserve memory for all cells between them.
"""

import io
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from mab_pipeline.sources.cells import Row, Sheet, counted, text_of
from mab_store.errors import UnreadableFileError
from mab_store.files.limits import TEXT_PER_FILE_BYTE, Limits

T = TypeVar("T")


def excel_sheets(payload: bytes, asked: str | None, limits: Limits) -> list[Sheet]:
    """Return each sheet of a workbook, or the one that was asked for.

    Raises:
        UnreadableFileError: It is no usable workbook, unpacks to too much, or has no such sheet.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            size = sum(part.file_size for part in archive.infolist())
            is_locked = any(part.flag_bits & 1 for part in archive.infolist())
    # zipfile raises the last for a compression that it does not know: the file is at fault.
    except (zipfile.BadZipFile, ValueError, RuntimeError):
        raise UnreadableFileError(
            "is not an .xlsx workbook, or has a password; save it as .xlsx without one"
        ) from None
    if is_locked:
        raise UnreadableFileError("has a password; save it without one")
    most = limits.max_text_bytes * TEXT_PER_FILE_BYTE  # its XML says little with many characters
    if size > most:
        raise UnreadableFileError(
            f"unpacks to {size >> 20} MB; at most {most >> 20} MB are read. Save it as several "
            "files"
        )
    names = _with_excel(lambda: _open_workbook(payload).sheetnames)
    if asked is not None and asked not in names:
        raise UnreadableFileError(f"has no sheet {asked!r}; it has {', '.join(map(repr, names))}")
    chosen = [asked] if asked is not None else names
    return [
        Sheet(f"Excel, sheet {name!r}", name, partial(_excel_rows, payload, name, limits))
        for name in chosen
    ]


def _open_workbook(payload: bytes) -> Any:
    from openpyxl import load_workbook  # noqa: PLC0415  # slow to import, and few exports are Excel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and drawings, which are not read
        return load_workbook(io.BytesIO(payload), read_only=True, data_only=True)


def _with_excel(work: Callable[[], T]) -> T:
    """Run a step of the Excel reader; whatever the workbook makes it raise is one error."""
    try:
        return work()
    except UnreadableFileError:
        raise
    except Exception as error:  # noqa: BLE001  # a damaged part makes it raise anything
        raise UnreadableFileError(
            f"is not a usable .xlsx workbook ({error}); open it in Excel and save it again"
        ) from None


def _excel_rows(payload: bytes, name: str, limits: Limits) -> Iterator[Row]:
    sheet = _with_excel(lambda: _open_workbook(payload)[name])
    if not hasattr(sheet, "reset_dimensions"):
        return  # a sheet that holds only a chart
    sheet.reset_dimensions()  # the size that a workbook states is often wrong
    rows = iter(sheet.iter_rows(values_only=True))
    numbered = enumerate(iter(lambda: _with_excel(lambda: next(rows, None)), None), start=1)
    yield from counted(((number, list(map(text_of, cells))) for number, cells in numbered), limits)
