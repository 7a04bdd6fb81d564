"""Labels on stacked charts, so that colour is not the only sign of a variant; pure."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Literal, NamedTuple

LEAST_PART = 0.07
"""Part of a chart's height that a label needs."""
EDGE = 0.15
"""Part of a chart's width, at each end, in which a label grows inwards."""

Align = Literal["left", "center", "right"]


class Label(NamedTuple):
    """A name on its band.

    Attributes:
        day: Where it stands.
        name: The name.
        middle: Height of the band's middle, in the unit of the values.
        align: Which of its ends is at the day.
    """

    day: date
    name: str
    middle: float
    align: Align


def band_labels(rows: Iterable[tuple[date, str, float]], names: Iterable[str]) -> list[Label]:
    """Place a label on each band of a stacked chart that is thick enough somewhere.

    Args:
        rows: Day, name and value of each part.
        names: The names from the bottom of the stack to its top.
    """
    stacks: dict[date, dict[str, float]] = defaultdict(dict)
    for day, name, value in rows:
        stacks[day][name] = stacks[day].get(name, 0.0) + value
    if not stacks:
        return []
    days, order = sorted(stacks), list(names)
    least = LEAST_PART * max(sum(stack.values()) for stack in stacks.values())
    found = []
    for name in order:
        thick = [day for day in days if stacks[day].get(name, 0.0) >= least]
        if not thick:
            continue
        # The end of the chart tells most; else where the band is thickest.
        _, place = max((stacks[day][name], day) for day in thick)
        if thick[-1] == days[-1]:
            place = days[-1]
        stack = stacks[place]
        below = sum(stack.get(other, 0.0) for other in order[: order.index(name)])
        found.append(Label(place, name, below + stack[name] / 2, _align(place, days)))
    return found


def _align(day: date, days: list[date]) -> Align:
    if len(days) == 1:
        return "center"
    place = (day - days[0]).days / (days[-1] - days[0]).days
    return "left" if place < EDGE else "right" if place > 1 - EDGE else "center"
