"""Count phrases that make our English read as a translation, and fail above a limit.

Read: docstrings, comments and messages of the Python files, comments of the SQL files, and the
Markdown pages outside code blocks. Left out: tests, the decision records (a record is never
rewritten) and words inside backticks. A line break inside a phrase does not hide it.

    python -m tools.prose          # the table; exit code 1 above a limit
    python -m tools.prose --list   # each place as well
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("mab_api", "mab_client", "mab_dashboard", "mab_pipeline", "mab_store", "tools")
PAGES = ("*.md", "docs/*.md", ".env.example", "mab_pipeline/sample/*.md")
SHORTEST_MESSAGE = 3  # words; a shorter string is a name or a key

_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
_CODE = re.compile(r"```.*?```|``[^\n]+?``|`[^`\n]*`", re.DOTALL)
_INDENTED_OR_SETTING = re.compile(r"^( {4,}|\t|[A-Z_]+=).*$", re.MULTILINE)
_ITEM_OR_ROW = re.compile(r"\s*(?:[*+|#>-]|\d+\.)(?: |$)")


@dataclass(frozen=True, slots=True)
class Habit:
    """A phrase that a native writer rarely uses.

    Attributes:
        name: How the table names it.
        pattern: What counts.
        limit: How often it may stand in 10,000 words.
    """

    name: str
    pattern: re.Pattern[str]
    limit: float


HABITS = (
    Habit(
        "`what is …` as a noun",
        re.compile(
            r"(?<!\bno matter )\bwhat\s+(?:is|was|are|were|has|had|it|they|the|this|that|a|an|we"
            r"|came|comes|remains|follows|happened|changed)\b(?![^.!?]*\?)",
            re.IGNORECASE,
        ),
        5,
    ),
    Habit("`where` for `if`", re.compile(r"\bwhere\b(?![^.!?]*\?)", re.IGNORECASE), 8),
    Habit(
        "`…body`, `whoever`",
        re.compile(r"\b(?:some|any|every|no)body\b|\bwho(?:m|so)?ever\b", re.IGNORECASE),
        1,
    ),
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of prose.

    Attributes:
        source: File that it stands in, below the root.
        line: Its first line.
        text: The prose, code in backticks removed.
    """

    source: str
    line: int
    text: str


def passages() -> Iterator[Passage]:
    """Yield the prose of the whole project."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield from _of_python(path)
    for path in sorted((ROOT / "sql").rglob("*.sql")):
        lines = enumerate(path.read_text("utf-8").splitlines(), 1)
        comments = ((number, line.split("--", 1)[1]) for number, line in lines if "--" in line)
        yield from _paragraphs(path, comments)
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            text = _INDENTED_OR_SETTING.sub("", _blanked(path.read_text("utf-8")))
            yield from _paragraphs(path, enumerate(text.splitlines(), 1))


def _of_python(path: Path) -> Iterator[Passage]:
    text = path.read_text("utf-8")
    in_f_strings = set[ast.expr]()
    for node in ast.walk(ast.parse(text)):
        message = ""
        if isinstance(node, ast.JoinedStr):
            in_f_strings.update(node.values)
            message = "".join(map(_part, node.values))
        elif isinstance(node, ast.Constant) and node not in in_f_strings:
            message = _part(node)
        if len(message.split()) >= SHORTEST_MESSAGE and isinstance(node, ast.expr):
            yield _passage(path, node.lineno, message)
    comments = (
        (token.start[0], token.string.lstrip("# "))
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT and not re.match(r"# *(noqa|type:|fmt:)", token.string)
    )
    yield from _paragraphs(path, comments)


def _part(node: ast.expr) -> str:
    """Return a literal's text; a placeholder for a value that is known at run time alone."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "{}"


def _paragraphs(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[Passage]:
    """Join consecutive lines; an empty line, a list item and a table row begin a new passage."""
    first, run = 0, list[str]()
    for number, line in lines:
        if run and (number != first + len(run) or not line.strip() or _ITEM_OR_ROW.match(line)):
            yield _passage(path, first, "\n".join(run))
            run = []
        if line.strip():
            first = first if run else number
            run.append(line)
    if run:
        yield _passage(path, first, "\n".join(run))


def _passage(path: Path, line: int, text: str) -> Passage:
    return Passage(str(path.relative_to(ROOT)), line, _blanked(text))


def _blanked(text: str) -> str:
    """Overwrite code with `~`: no word of it is left, and every line keeps its number."""
    return _CODE.sub(lambda match: re.sub(r"[^\n]", "~", match[0]), text)


def main() -> int:
    """Print how often each habit occurs; return 1 if one occurs too often."""
    found = list(passages())
    words = sum(len(_WORD.findall(passage.text)) for passage in found)
    print(f"{words:,} words")
    is_over = False
    for habit in HABITS:
        places = [
            (passage, match) for passage in found for match in habit.pattern.finditer(passage.text)
        ]
        rate = 10_000 * len(places) / words
        is_over |= rate > habit.limit
        mark = "above" if rate > habit.limit else "within"
        print(f"{habit.name:<28} {rate:5.1f} per 10,000 words, {mark} the limit of {habit.limit:g}")
        if "--list" in sys.argv[1:]:
            for passage, match in places:
                line = passage.line + passage.text[: match.start()].count("\n")
                around = passage.text[max(0, match.start() - 40) : match.end() + 40]
                print(f"  {passage.source}:{line}: {' '.join(around.split())}")
    return int(is_over)


if __name__ == "__main__":
    sys.exit(main())
