"""100 traffic buckets, dealt so that as few sessions as possible change variant."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from mab_pipeline.bandit.decision import HUNDREDTHS

N_BUCKETS = 100
"""Buckets are numbered 0 to 99; each holds one percent of the sessions."""


class Run(NamedTuple):
    """Neighbouring buckets of one owner; a list of runs covers all buckets in order.

    Attributes:
        name: The owner.
        length: The number of buckets.
    """

    name: str
    length: int


class Move(NamedTuple):
    """Buckets that change hands.

    Attributes:
        run: Index of the run that gives.
        taker: Who takes.
        n: How many buckets.
        at_end: Whether they come from the run's upper end rather than its lower.
    """

    run: int
    taker: str
    n: int
    at_end: bool


def _check_hundredths(hundredths: Mapping[str, int]) -> None:
    for name, share in hundredths.items():
        if isinstance(share, bool) or share != int(share) or share < 0:
            raise ValueError(f"hundredths must be whole and not negative; {name!r} has {share}")
    if (total := sum(hundredths.values())) != HUNDREDTHS:
        raise ValueError(f"hundredths must sum to {HUNDREDTHS}, not {total}")


def _bucket_counts(hundredths: Mapping[str, int]) -> dict[str, int]:
    """Deal the buckets by largest remainder, among equal ones to the earlier variant."""
    per_bucket = HUNDREDTHS // N_BUCKETS
    counts = {name: share // per_bucket for name, share in hundredths.items()}
    missing = N_BUCKETS - sum(counts.values())
    by_remainder = sorted(hundredths, key=lambda name: -(hundredths[name] % per_bucket))
    for name in by_remainder[:missing]:
        counts[name] += 1
    return counts


def _previous_runs(previous: Mapping[str, Sequence[tuple[int, int]]]) -> list[Run]:
    """Bring the previous ranges into the order of the buckets, or refuse them."""
    spans = [(tuple(span), name) for name, ranges in previous.items() for span in ranges]
    for span, name in spans:
        if len(span) != 2 or not all(isinstance(end, int) for end in span):
            raise ValueError(f"a previous range must be two whole numbers; {name!r} has {span}")
        if not 0 <= span[0] <= span[1] < N_BUCKETS:
            raise ValueError(
                f"a previous range must lie within 0..{N_BUCKETS - 1}, the lower end first; "
                f"{name!r} has {span}"
            )
    expected = 0
    runs: list[Run] = []
    for (low, high), name in sorted(spans):
        if low != expected:
            fault = "belongs to two ranges" if low < expected else "belongs to no variant"
            raise ValueError(f"bucket {min(low, expected)} {fault} in previous; see {name!r}")
        runs.append(Run(name, high - low + 1))
        expected = high + 1
    if expected != N_BUCKETS:
        raise ValueError(f"bucket {expected} belongs to no variant in previous")
    return _tidy(runs)


def _tidy(runs: Iterable[Run]) -> list[Run]:
    """Drop empty runs and join neighbours of one owner."""
    joined: list[Run] = []
    for name, group in groupby((run for run in runs if run.length), key=lambda run: run.name):
        joined.append(Run(name, sum(run.length for run in group)))
    return joined


def _next_move(runs: Sequence[Run], owed: Mapping[str, int]) -> Move:
    """Choose whose run gives buckets to whom.

    A border between one who must give and one who must take is moved first: that splits nothing.
    Then a run that is given away whole; only then is a run split. Small runs go first.
    """
    needy = max(owed, key=lambda name: owed[name])
    moves: list[tuple[tuple[bool, bool, int, int], Move]] = []
    for i, run in enumerate(runs):
        if owed[run.name] >= 0:
            continue
        for side in (0, 1):
            j = i - 1 + 2 * side
            borders = 0 <= j < len(runs) and owed[runs[j].name] > 0
            taker = runs[j].name if borders else needy
            n = min(run.length, -owed[run.name], owed[taker])
            rank = (not borders, n < run.length, run.length, i)
            moves.append((rank, Move(i, taker, n, at_end=bool(side))))
    return min(moves, key=lambda ranked: ranked[0])[1]


def _redistribute(runs: list[Run], counts: Mapping[str, int]) -> list[Run]:
    """Hand over buckets until everyone has as many as is due, moving none that can stay."""
    owed = dict(counts)
    for run in runs:
        owed[run.name] = owed.get(run.name, 0) - run.length
    while any(owed.values()):
        move = _next_move(runs, owed)
        giver = runs[move.run]
        rest, given = Run(giver.name, giver.length - move.n), Run(move.taker, move.n)
        pair = [rest, given] if move.at_end else [given, rest]
        runs = _tidy([*runs[: move.run], *pair, *runs[move.run + 1 :]])
        owed[giver.name] += move.n
        owed[move.taker] -= move.n
    return runs


def assign_buckets(
    hundredths: Mapping[str, int], previous: Mapping[str, Sequence[tuple[int, int]]] | None
) -> dict[str, list[tuple[int, int]]]:
    """Deal 100 buckets by percentage, changing as few as possible against what was live.

    Args:
        hundredths: Hundredths of a percent per variant, whole, not negative, summing to 10,000.
        previous: The inclusive ranges of buckets that each variant had, together 0 to 99 exactly
            once; variants may since have come or gone. None if nothing was live.

    Returns:
        For each variant of `hundredths`, in that order, the inclusive ranges of its buckets,
        ascending; together they cover 0 to 99 exactly once. **A variant whose share is too small
        for a bucket (less than 1.00 %, unless its remainder is among the largest) gets an empty
        list**, and so no traffic until its share grows.

    Raises:
        ValueError: If the hundredths do not sum to 10,000, or `previous` leaves a bucket out,
            names one twice or one that does not exist.

    Notes:
        The number of buckets per variant depends on `hundredths` alone: largest remainder, among
        equal ones the earlier variant. A variant that had m buckets and is due n keeps
        `min(m, n)` of them, so `sum(max(m - n, 0))` buckets change hands, the total variation
        distance in buckets; no assignment can do with fewer. Among those assignments, borders
        between ranges are moved before a range is split.
    """
    _check_hundredths(hundredths)
    counts = _bucket_counts(hundredths)
    if previous is None:
        runs = _tidy(Run(name, count) for name, count in counts.items())
    else:
        runs = _redistribute(_previous_runs(previous), counts)
    result: dict[str, list[tuple[int, int]]] = {name: [] for name in hundredths}
    first = 0
    for run in runs:
        result[run.name].append((first, first + run.length - 1))
        first += run.length
    return result
