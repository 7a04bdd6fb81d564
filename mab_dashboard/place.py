"""The place that the URL names: page, experiment, day and language; any other value is ignored."""

from collections.abc import Mapping
from datetime import date
from typing import Literal, NamedTuple, get_args

from mab_dashboard.formats import Language, day_of

Page = Literal["overview", "experiment", "quality", "what_if"]
PAGES: tuple[Page, ...] = get_args(Page)
DATED: tuple[Page, ...] = ("experiment", "what_if")


class Place(NamedTuple):
    """Where a reader is.

    Attributes:
        page: The page.
        experiment: Id of the experiment; empty if none is chosen.
        day: The as-of date; None for the newest.
        language: The language.
    """

    page: Page = "overview"
    experiment: str = ""
    day: date | None = None
    language: Language = "en"

    def query(self) -> dict[str, str]:
        """Return the query of the URL that leads here; defaults are left out."""
        values = {
            "page": self.page,
            "experiment": "" if self.page == "overview" else self.experiment,
            "date": str(self.day or "") if self.page in DATED else "",
            "lang": "" if self.language == "en" else self.language,
        }
        return {name: value for name, value in values.items() if value}


def place_of(query: Mapping[str, str]) -> Place:
    """Return the place that the query of a URL names."""
    pages: dict[str, Page] = {page: page for page in PAGES}
    return Place(
        page=pages.get(query.get("page", ""), "overview"),
        experiment=query.get("experiment", "")[:64],
        day=day_of(query.get("date")),
        language="pt" if query.get("lang") == "pt" else "en",
    )
