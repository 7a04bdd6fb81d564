"""A count with its noun: 1 row, 2 rows."""


def how_many(count: int, noun: str) -> str:
    """Return a count in digits with its noun, which takes an s unless the count is 1."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
