"""Reading docs/API.md: its commands with their answers, its snippets, its tables."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "API.md"
VARYING = frozenset(
    {"analysed_at", "computed_at", "published_at", "received_at", "created_at", "submission_id"}
    | {"allocation_id", "request_id", "stale_seconds"}
    | {"changed_at", "effective_date"}  # of a change: now, and tomorrow
)
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^>]+) -->\n)?```bash\n(?P<command>.*?)\n```"
    r"(?:\n\n```json\n(?P<answer>.*?)\n```)?",
    re.DOTALL,
)


class Command(NamedTuple):
    """A command of the page.

    Attributes:
        text: The command.
        example: Name of the OpenAPI example that its answer is; None where it is none.
        answer: What the page shows; None where it shows nothing.
        span: Where that answer stands in the page.
    """

    text: str
    example: str | None
    answer: Any
    span: tuple[int, int]


def commands(page: str) -> list[Command]:
    """Return the commands in the order of the page."""
    found = []
    for block in _BLOCK.finditer(page):
        mark = block["mark"] or ""
        name = mark.removeprefix("example: ") if mark.startswith("example: ") else None
        answer = None if block["answer"] is None else json.loads(block["answer"])
        found.append(Command(block["command"], name, answer, block.span("answer")))
    return found


def snippet(page: str, language: str) -> str:
    """Return the one block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)\n```", page, re.DOTALL)
    return found


def vectors(page: str) -> list[tuple[str, str, int]]:
    """Return the rows of the table of test vectors."""
    rows = re.findall(r"^\| `(exp_\w+)` \| `(.*?)` \| (\d+) \|$", page, re.MULTILINE)
    return [(experiment, session, int(bucket)) for experiment, session, bucket in rows]


def normalised(value: Any, key: str = "") -> Any:
    """Replace what differs from one run to the next; round floats to what libraries agree on."""
    if key in VARYING:
        return f"<{type(value).__name__}>"
    if isinstance(value, dict):
        return {name: normalised(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [normalised(inner) for inner in value]
    if isinstance(value, str):
        return re.sub("sub_[0-9a-f]{32}", "sub_<id>", value)  # in the name of a file
    return float(f"{value:.9g}") if isinstance(value, float) else value
