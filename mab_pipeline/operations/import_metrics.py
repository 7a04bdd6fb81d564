"""`mab import`: understand exports, find the rows that a run would reject, then store them.

`mab_pipeline.sources` reads the files and `ingest_verdicts.py` judges their rows; the steps here
join the two and register new experiments.
"""

import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
from pydantic import ValidationError

from mab_pipeline.operations.ingest_verdicts import Rejections, rejections
from mab_pipeline.resources import Platform
from mab_pipeline.sources.dates import AmbiguousDatesError
from mab_pipeline.sources.deposit import Deposited, deposit, files_of_days
from mab_pipeline.sources.import_file import Accepted, Count, Export, read_export
from mab_pipeline.sources.known_exports import folded
from mab_pipeline.sources.mapping import Mapping as ColumnMapping
from mab_pipeline.sources.mapping import name_of
from mab_store.errors import InboxError, UnreadableFileError, UsageError
from mab_store.experiments.events import validation_faults
from mab_store.experiments.registration import register, registered
from mab_store.experiments.schemas import ExperimentSpec, VariantSpec, experiment_id_of
from mab_store.files.inbox import Receiver
from mab_store.files.staged_inbox import StagedInbox

CONTROL_NAMES = ("control", "controle", "original", "baseline", "default", "a")
_ID = re.compile(r"exp_[0-9a-f]{12}")
RECEIVED_BY = "mab import"


@dataclass(frozen=True, slots=True)
class Understood:
    """An export on its way in.

    Attributes:
        path: The file.
        export: The export, understood.
    """

    path: Path
    export: Export


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts of one experiment.

    Attributes:
        experiment: Its id or name.
        variants: Impressions and clicks of each variant; texts that are no numbers count nothing.
        first_day: First day.
        last_day: Last day.
        day_count: Days with counts.
    """

    experiment: str
    variants: dict[str, tuple[int, int]]
    first_day: date
    last_day: date
    day_count: int


class MetricsImport:
    """One call of `mab import`: nothing is stored before `store`."""

    def __init__(self, platform: Platform, *, day: date | None = None) -> None:
        self._platform = platform
        self._day = day
        self._staged = StagedInbox(platform.inbox)

    def understand(self, path: Path, mapping: ColumnMapping) -> Understood:
        """Read an export.

        Raises:
            AmbiguousDatesError: Its dates can be read in two ways.
            InboxError: It cannot be understood.
        """
        settings = self._platform.settings
        accepted = Accepted(
            self._platform.inbox.limits,
            settings.mab_start_date,
            self._platform.clock().date(),
            self._day,
        )
        try:
            return Understood(path, read_export(path.name, self._read(path), mapping, accepted))
        except AmbiguousDatesError:
            raise
        except UnreadableFileError as error:
            raise InboxError(f"{path} {error}. Nothing of it was stored.") from None
        except OSError as error:
            raise InboxError(f"{path} cannot be read: {error.strerror}.") from None

    def require_apart(self, files: Sequence[Understood]) -> None:
        """Refuse two files with counts of the same variant and day: the later would replace those.

        Raises:
            UsageError: There are two, and they are not the same.
        """
        held: dict[tuple[date, str, str], Understood] = {}
        different: list[Understood] = []
        for file in files:
            if any(file.export.counts == other.export.counts for other in different):
                continue
            different.append(file)
            for count in file.export.counts:
                before = held.setdefault(count[:3], file)
                if before is not file:
                    raise UsageError(
                        f"{before.path} and {file.path} both have counts of {count.variant!r} of "
                        f"{count.experiment!r} on {count.day}, and the later file would replace "
                        "the other's. If it corrects them, import one after the other; if they "
                        "are parts, join them into one file. Nothing was stored."
                    )

    def unregistered(self, files: Iterable[Understood]) -> dict[str, list[str]]:
        """Return the experiments that are not registered, with the variants that the files name."""
        found: dict[str, dict[str, None]] = {}
        for file in files:
            for count in file.export.counts:
                if count.experiment and count.variant:
                    found.setdefault(count.experiment, {})[count.variant] = None
        return {
            name: list(variants)
            for name, variants in found.items()
            if registered(self._staged, experiment_id_of(name)) is None
            and not (_ID.fullmatch(name) and registered(self._staged, name))
        }

    def register(self, name: str, variants: list[str], control: str) -> None:
        """Register an experiment together with its counts.

        Raises:
            UsageError: It cannot be registered so.
        """
        _require_unlike(name, variants)
        try:
            spec = ExperimentSpec(
                name=name,
                variants=[VariantSpec(name=v, is_control=v == control) for v in variants],
            )
        except ValidationError as error:
            raise UsageError(
                f"The experiment {name!r} cannot be registered: {validation_faults(error)}. "
                "Correct the export, choose its rows with --where, or name the column with "
                "--experiment-column."
            ) from None
        register(self._staged, spec, now=self._platform.clock())

    def rejections(self, files: Iterable[Understood]) -> list[Rejections]:
        """Find the rows that the run would reject after the pending registrations."""
        parts: dict[str, tuple[date, pa.Table]] = {}
        for file in files:
            by_day: dict[date, list[Count]] = {}
            for count in file.export.counts:
                by_day.setdefault(count.day, []).append(count)
            for day, counts in by_day.items():
                parts[f"{file.path} ({day})"] = day, _table(counts)
        return rejections(self._staged, parts, now=self._platform.clock())

    def store(self, files: Iterable[Understood], *, name: str | None) -> Deposited:
        """Put the counts and the registrations into the inbox, file after file.

        Args:
            files: The exports.
            name: Name of the source; None for the experiment's.

        Raises:
            InboxError: The inbox cannot be written.
        """
        result = Deposited()
        events: Mapping[str, bytes] = self._staged.pending
        for file in files:
            done = deposit(
                self._platform.inbox,
                name or default_name(file.export),
                files_of_days(file.export.counts),
                receiver=Receiver(RECEIVED_BY, self._platform.clock()),
                events=events,
            )
            events = {}
            result.added += done.added
            result.unchanged += done.unchanged
        return result

    def _read(self, path: Path) -> bytes:
        """Read a file, but nothing that is larger than the run would read."""
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableFileError("is not a regular file; give the export itself")
        if status.st_size > (most := self._platform.inbox.max_file_bytes):
            raise UnreadableFileError(
                f"has {status.st_size} bytes; INBOX_MAX_FILE_MB allows {most >> 20} MB. Export "
                "fewer days at a time"
            )
        return path.read_bytes()


def summaries(files: Iterable[Understood]) -> list[Summary]:
    """Sum the counts of each experiment."""
    days: dict[str, set[date]] = {}
    variants: dict[str, dict[str, tuple[int, int]]] = {}
    for file in files:
        for count in file.export.counts:
            days.setdefault(count.experiment, set()).add(count.day)
            sums = variants.setdefault(count.experiment, {})
            before = sums.get(count.variant, (0, 0))
            texts = count.impressions, count.clicks
            impressions, clicks = (int(text) if text.isdecimal() else 0 for text in texts)
            sums[count.variant] = before[0] + impressions, before[1] + clicks
    return [
        Summary(name, variants[name], min(found), max(found), len(found))
        for name, found in days.items()
    ]


def default_name(export: Export) -> str:
    """Return the name of an export's mapping and files: its only experiment, or the known export.

    Any later export of the same kind gets the same name.
    """
    names = {count.experiment for count in export.counts}
    return name_of(names.pop() if len(names) == 1 else export.mapping.export or "import")


def usual_control(variants: Iterable[str]) -> str | None:
    """Return the variant whose name says that it is the control; None if none does."""
    by_name = {name.casefold(): name for name in variants}
    return next((by_name[name] for name in CONTROL_NAMES if name in by_name), None)


def _require_unlike(experiment: str, variants: Iterable[str]) -> None:
    """Refuse new variants that nobody would tell apart: most likely they are one."""
    seen: dict[str, str] = {}
    for variant in variants:
        other = seen.setdefault(folded(variant), variant)
        if other != variant:
            raise UsageError(
                f"The new experiment {experiment!r} has the variants {other!r} and {variant!r}, "
                "which differ in case, spaces or accents alone. Write them alike in the export; if "
                "they are two variants, run `mab experiments create` first. Nothing was stored."
            )


def _table(counts: list[Count]) -> pa.Table:
    columns = {
        "experiment": [count.experiment for count in counts],
        "variant_name": [count.variant for count in counts],
        "impressions": [count.impressions for count in counts],
        "clicks": [count.clicks for count in counts],
        "submission_id": [None] * len(counts),
    }
    table = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})
    return table.append_column("row_number", pa.array([c.row for c in counts], pa.int64()))
