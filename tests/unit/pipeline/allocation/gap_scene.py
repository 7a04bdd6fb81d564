"""The tables around a variant gap, and ordinary traffic."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

NAME = "exp_a"


BEGINNING = date(1900, 1, 1)
END = date(9999, 12, 31)


def march(day: int) -> date:
    return date(2025, 3, day)


DAY = march(10)
TOMORROW = march(11)


NIGHT = timedelta(days=1, hours=2)  # when the rows of a day come in, after its beginning


@dataclass
class Scene:
    """The content of the tables; by default as on an ordinary day.

    Attributes:
        rows: (day, variant, impressions, clicks, file) as received; the file may be left out.
            A file is received in the night after the day, in the order of the file's number.
        shares: Hundredths by as-of day and variant; a missing day was not published.
        variants: (name, status, valid from, valid to).
        statuses: (status, valid from, valid to) of the experiment.
        live: As-of days whose publication was live.
    """

    rows: list[tuple[Any, ...]]
    shares: dict[int, dict[str, int]] = field(
        default_factory=lambda: {day: {"control": 5000, "b": 5000} for day in range(5, 10)}
    )
    variants: list[tuple[Any, ...]] = field(
        default_factory=lambda: [("control", "active"), ("b", "active")]
    )
    statuses: list[tuple[Any, ...]] = field(default_factory=lambda: [("running",)])
    live: set[int] = field(default_factory=lambda: set(range(1, 32)))

    def tables(self) -> dict[str, list[dict[str, object]]]:
        known = [(*row, BEGINNING, END)[:4] if len(row) == 2 else row for row in self.variants]
        statuses = [(*row, BEGINNING, END)[:3] if len(row) == 1 else row for row in self.statuses]
        tomorrow = DAY + timedelta(days=1)
        return {
            "experiments": [
                {
                    "experiment_id": NAME,
                    "experiment_name": "a",
                    "status": status,
                    "valid_from_date": start,
                    "valid_to_date": end,
                }
                for status, start, end in statuses
            ],
            "variants": [
                {
                    "experiment_id": NAME,
                    "variant_name": name,
                    "status": status,
                    "valid_from_date": start,
                    "valid_to_date": end,
                }
                for name, status, start, end in known
            ],
            "windowed_aggregates": [
                {"as_of_date": DAY, "experiment_id": NAME, "variant_name": name}
                for name, status, start, end in known
                if status == "active" and start <= tomorrow < end
            ],
            "raw_metrics": [self._raw(number, *row) for number, row in enumerate(self.rows)],
            "allocations": [
                {
                    "as_of_date": march(day),
                    "experiment_id": NAME,
                    "variant_name": name,
                    "allocation_id": f"al{day}",
                    "allocation_hundredths": hundredths,
                }
                for day, shares in self.shares.items()
                for name, hundredths in shares.items()
            ],
            "publications": [
                {
                    "as_of_date": march(day),
                    "experiment_id": NAME,
                    "allocation_id": f"al{day}",
                    "was_live": day in self.live,
                }
                for day in self.shares
            ],
        }

    @staticmethod
    def _raw(
        number: int,
        day: int,
        variant: str | None,
        impressions: object,
        clicks: object,
        file: int = 1,
    ) -> dict[str, object]:
        midnight = datetime.combine(march(day), datetime.min.time())
        return {
            "metric_date": march(day),
            "source_file": f"metrics/{march(day)}/{file}.csv",
            "row_number": number,
            "received_at": midnight + NIGHT + timedelta(minutes=file),
            "experiment": "a",
            "variant_name": variant,
            "impressions": str(impressions),
            "clicks": str(clicks),
        }


def traffic(*days: int, control: int = 500, b: int = 500) -> list[tuple[Any, ...]]:
    return [
        (day, name, count, 0) for day in days for name, count in (("control", control), ("b", b))
    ]
