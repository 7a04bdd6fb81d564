"""The clock: naive UTC, which is how the warehouse holds times."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the time as naive UTC."""
    return datetime.now(UTC).replace(tzinfo=None)
