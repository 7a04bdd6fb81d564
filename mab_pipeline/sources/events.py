"""Events: a table whose rows each count one kind of event, as rows of impressions and clicks.

Which events these are is known by their names, in pairs; a mapping can name others.
"""

from mab_pipeline.sources.known_exports import folded
from mab_pipeline.sources.mapping import Mapping
from mab_pipeline.sources.rows import NoRowsError, Rows
from mab_store.errors import UnreadableFileError

PAIRS = (
    ("view_promotion", "select_promotion"),
    ("promotion_view", "promotion_click"),
    ("experiment_impression", "experiment_click"),
    ("experiment_view", "experiment_click"),
    ("variant_view", "variant_click"),
    ("ad_impression", "ad_click"),
    ("impression", "click"),
    ("impressions", "clicks"),
    ("view", "click"),
)
_MOST_NAMED = 8


def split_events(rows: Rows, mapping: Mapping) -> Mapping:
    """Turn each row of an event into impressions or clicks; the rows of other events are left out.

    Args:
        rows: The rows; their impressions are the counts of their events. They are changed.
        mapping: The mapping; it may name the events.

    Returns:
        The mapping with the events that were found.

    Raises:
        UnreadableFileError: Nothing tells which events are impressions and clicks, or none is.
    """
    if not mapping.impression_events:
        seen, followed = _known_pair(rows)
        update = {"impression_events": (seen,), "click_events": (followed,)}
        mapping = mapping.model_copy(update=update)
    views, clicks = (
        {folded(name) for name in names}
        for names in (mapping.impression_events, mapping.click_events)
    )
    found = []
    for row in rows.data:
        name = folded(row.event)
        if name in views:
            found.append(row._replace(clicks="0"))
        elif name in clicks:
            found.append(row._replace(impressions="0", clicks=row.impressions))
        else:
            rows.other_events[row.event] = rows.other_events.get(row.event, 0) + 1
    if not found:
        raise NoRowsError(
            f"has no row of {', '.join((*mapping.impression_events, *mapping.click_events))}; its "
            f"events are {_listed(rows)}; name them with --impression-event and --click-event"
        )
    rows.data = found
    return mapping


def _known_pair(rows: Rows) -> tuple[str, str]:
    names = {folded(name): name for name in rows.events}
    pairs = [pair for pair in PAIRS if set(pair) <= names.keys()]
    if len(pairs) != 1:
        which = f"{len(pairs)} pairs of events" if pairs else "no events"
        raise UnreadableFileError(
            f"has {which} that are known as impressions and clicks; its events are "
            f"{_listed(rows)}; name them with --impression-event and --click-event"
        )
    views, click = pairs[0]
    return names[views], names[click]


def _listed(rows: Rows) -> str:
    shown = [repr(name[:60]) for name in rows.events]
    more = f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else ""
    return ", ".join(shown[:_MOST_NAMED]) + more
