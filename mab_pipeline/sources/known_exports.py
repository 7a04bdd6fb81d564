"""Known exports: the columns of reports that map by themselves.

Each name of a role is one that a tool writes, the most fitting first. Names are compared as
`folded` returns them.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Role = Literal["date", "experiment", "variant", "impressions", "clicks", "event", "count"]
ROLES: tuple[Role, ...] = ("date", "experiment", "variant", "impressions", "clicks")
# Of a table with a row per event: its name decides whether its count is impressions or clicks.
EVENT_ROLES: tuple[Role, ...] = ("date", "experiment", "variant", "event", "count")


@dataclass(frozen=True, slots=True)
class KnownExport:
    """A report whose columns are known.

    Attributes:
        name: Its key in a mapping.
        title: Its name for a person.
        columns: The names of each role's column, folded.
        is_day_first: Whether its language writes the day before the month, if a date fits both.
        is_strict: Whether two columns for one role are refused unless one has the first name.
        decimal: The decimal sign of its language, if counts fit both.
        counts_visits: Whether its counts may be of sessions, which a row per event repeats.
    """

    name: str
    title: str
    columns: dict[Role, tuple[str, ...]]
    is_day_first: bool = False
    is_strict: bool = False
    decimal: Literal["point", "comma"] | None = None
    counts_visits: bool = False


EVENT_NAMES = ("event name", "eventname", "event_name", "event", "nome do evento")
_ANALYTICS_EXPERIMENT = (
    "item promotion name",
    "itempromotionname",
    "experiment name",
    "experiment id",
    "experience id",
)
_ANALYTICS_VARIANT = (
    "item promotion creative name",
    "itempromotioncreativename",
    "experience variant string",
    "exp_variant_string",
    "experiment variant",
    "variant id",
)

KNOWN_EXPORTS = (
    KnownExport(
        "ad_manager",
        "Google Ad Manager",
        {
            "date": ("date", "dimension.date"),
            "experiment": (
                "line item",
                "dimension.line_item_name",
                "order",
                "dimension.order_name",
            ),
            "variant": ("creative", "dimension.creative_name"),
            "impressions": (
                "ad server impressions",
                "column.ad_server_impressions",
                "total impressions",
                "column.total_line_item_level_impressions",
            ),
            "clicks": (
                "ad server clicks",
                "column.ad_server_clicks",
                "total clicks",
                "column.total_line_item_level_clicks",
            ),
        },
        decimal="point",
    ),
    KnownExport(
        "ad_manager_pt",
        "Google Ad Manager in Portuguese",
        {
            "date": ("data",),
            "experiment": ("item de linha", "pedido"),
            "variant": ("criativo",),
            "impressions": ("impressoes do servidor de anuncios", "total de impressoes"),
            "clicks": ("cliques do servidor de anuncios", "total de cliques"),
        },
        is_day_first=True,
        decimal="comma",
    ),
    KnownExport(
        "events",
        "a row per event, as of Google Analytics 4",
        {
            "date": ("date", "day", "event date", "event_date", "metric_date", "data"),
            "experiment": (
                *_ANALYTICS_EXPERIMENT,
                "experiment",
                "experiment_id",
                "experiment_name",
                "customevent:experiment_id",
                "customevent:experiment_name",
                "customevent:experiment",
            ),
            "variant": (
                *_ANALYTICS_VARIANT,
                "variant",
                "variant_name",
                "variant name",
                "customevent:experiment_variant",
                "customevent:variant_name",
                "customevent:variant",
            ),
            "event": EVENT_NAMES,
            "count": ("event count", "eventcount", "event_count", "count", "contagem de eventos"),
        },
    ),
    KnownExport(
        "google_analytics",
        "Google Analytics 4",
        {
            "date": ("date", "day"),
            "experiment": _ANALYTICS_EXPERIMENT,
            "variant": _ANALYTICS_VARIANT,
            "impressions": (
                "promotion views",
                "promotionviews",
                "item promotion views",
                "items viewed in promotion",
                "itemsviewedinpromotion",
                "publisher ad impressions",
                "publisheradimpressions",
                "sessions",
            ),
            "clicks": (
                "promotion clicks",
                "promotionclicks",
                "item promotion clicks",
                "items clicked in promotion",
                "itemsclickedinpromotion",
                "publisher ad clicks",
                "publisheradclicks",
                "key events",
                "keyevents",
                "conversions",
            ),
        },
        counts_visits=True,
    ),
    KnownExport(
        "table",
        "a plain table",
        {
            "date": ("date", "metric_date", "day", "data", "dia", "datum"),
            "experiment": (
                "experiment",
                "experiment_id",
                "experiment_name",
                "experiment id",
                "experiment name",
                "test",
                "campaign",
                "experimento",
            ),
            "variant": (
                "variant_name",
                "variant",
                "variant name",
                "variation",
                "variante",
                "arm",
                "creative",
                "criativo",
            ),
            "impressions": (
                "impressions",
                "views",
                "sessions",
                "visitors",
                "exposures",
                "users",
                "impressoes",
            ),
            "clicks": ("clicks", "conversions", "key events", "goals", "cliques", "conversoes"),
        },
        is_strict=True,
    ),
)

# Words that a tool writes into the row that adds the others up.
TOTAL_WORDS = frozenset(
    {
        "total",
        "totals",
        "totais",
        "total geral",
        "grand total",
        "grand totals",
        "subtotal",
        "sum",
        "gesamt",
        "gesamtsumme",
        "total general",
    }
)

# What an analytics tool writes in the place of a name that it does not have.
NO_NAMES = frozenset({"(not set)", "(other)", "(not provided)", "(data not available)"})


@lru_cache(maxsize=1 << 14)
def folded(text: str) -> str:
    """Return a name as it is compared: lower case, single spaces, no accents."""
    if not text.isascii():
        parts = unicodedata.normalize("NFKD", text)
        text = "".join(part for part in parts if not unicodedata.combining(part))
    return " ".join(text.split()).casefold()
