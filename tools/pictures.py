"""Draw the pictures of docs/CONCEPTS.md as SVG files: boxes and arrows, no script, no font.

`python -m tools.pictures` writes docs/img/concept-*.svg; `make docs` does it too.
"""

from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "img"
LINE = 17  # height of a line of text [px]
PAD = 12

_HEAD = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">
<title>{title}</title>
<style>
.back {{ fill: #fff }}
rect.box {{ fill: #eef2ff; stroke: #4f5fa8; stroke-width: 1.5 }}
rect.files {{ fill: #fff6e0; stroke: #a3781c; stroke-width: 1.5 }}
rect.out {{ fill: #e6f6ec; stroke: #2f7d4f; stroke-width: 1.5 }}
rect.stop {{ fill: #fdeaea; stroke: #b03a3a; stroke-width: 1.5 }}
text {{ font: 13px sans-serif; fill: #1d2333; text-anchor: middle }}
text.name {{ font-weight: 600 }}
text.note {{ font-size: 12px; fill: #555c70 }}
path {{ fill: none; stroke: #555c70; stroke-width: 1.5; marker-end: url(#tip) }}
path.side {{ stroke-dasharray: 5 4 }}
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"
 orient="auto"><polygon points="0,0 8,4 0,8" fill="#555c70"/></marker></defs>
<rect class="back" width="{width}" height="{height}" rx="8"/>
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle with text.

    Attributes:
        x: Left edge [px].
        y: Top edge [px].
        width: Width [px].
        text: Lines; the first is the name.
        kind: `box` (a table), `files`, `out` (readers get it) or `stop` (held back, rejected).
    """

    x: int
    y: int
    width: int
    text: tuple[str, ...]
    kind: str = "box"

    @property
    def height(self) -> int:
        """Height [px]."""
        return 2 * PAD + LINE * len(self.text)

    def side(self, name: str) -> tuple[int, int]:
        """Return the middle of an edge: `left`, `right`, `top` or `bottom`."""
        across = {"left": 0, "right": self.width}.get(name, self.width // 2)
        down = {"top": 0, "bottom": self.height}.get(name, self.height // 2)
        return self.x + across, self.y + down


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow from edge to edge, `box.side`; dashed if it is not the way of the data."""

    start: str
    end: str
    note: str = ""
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture.

    Attributes:
        title: For readers who cannot see it.
        size: Width and height [px].
        boxes: By a short name.
        arrows: Between boxes.
    """

    title: str
    size: tuple[int, int]
    boxes: dict[str, Box]
    arrows: tuple[Arrow, ...]

    def svg(self) -> str:
        """Return the file's text."""
        width, height = self.size
        parts = [_HEAD.format(width=width, height=height, title=escape(self.title))]
        parts += [self._arrow(arrow) for arrow in self.arrows]
        parts += [_box(box) for box in self.boxes.values()]
        return "".join(parts) + "</svg>\n"

    def _arrow(self, arrow: Arrow) -> str:
        (x1, y1), (x2, y2) = self._point(arrow.start), self._point(arrow.end)
        style = ' class="side"' if arrow.dashed else ""
        if arrow.start.endswith(("left", "right")):
            bend = f"C{(x1 + x2) // 2},{y1} {(x1 + x2) // 2},{y2}"
        else:
            bend = f"C{x1},{(y1 + y2) // 2} {x2},{(y1 + y2) // 2}"
        path = f'<path{style} d="M{x1},{y1} {bend} {x2},{y2}"/>\n'
        if not arrow.note:
            return path
        x, y = (x1 + x2) // 2, (y1 + y2) // 2 - 6
        return path + f'<text class="note" x="{x}" y="{y}">{escape(arrow.note)}</text>\n'

    def _point(self, place: str) -> tuple[int, int]:
        box, _, side = place.partition(".")
        return self.boxes[box].side(side)


def _box(box: Box) -> str:
    place = f'x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}"'
    lines = [f'<rect class="{box.kind}" {place} rx="6"/>\n']
    for number, line in enumerate(box.text):
        style = "" if number else ' class="name"'
        x, y = box.x + box.width // 2, box.y + PAD + LINE * number + 13
        lines.append(f'<text{style} x="{x}" y="{y}">{escape(line)}</text>\n')
    return "".join(lines)


ASSETS = Picture(
    "The assets: the inbox feeds experiments and raw_metrics; daily_metrics, windowed_aggregates, "
    "allocations and publication follow; readers open the published copy.",
    (960, 300),
    {
        "inbox": Box(10, 105, 120, ("inbox", "immutable files"), "files"),
        "experiments": Box(180, 30, 140, ("experiments", "what runs, when")),
        "raw": Box(180, 180, 140, ("raw_metrics", "rows as received")),
        "daily": Box(370, 105, 140, ("daily_metrics", "accepted counts")),
        "windows": Box(560, 105, 170, ("windowed_aggregates", "14 or 30 days")),
        "allocations": Box(780, 105, 160, ("allocations", "decisions: shares")),
        "publication": Box(780, 215, 160, ("publication", "gate, copy, pointer")),
        "readers": Box(545, 215, 200, ("API, mab allocations", "read published copies"), "out"),
    },
    (
        Arrow("inbox.right", "experiments.left"),
        Arrow("inbox.right", "raw.left"),
        Arrow("experiments.right", "daily.left"),
        Arrow("raw.right", "daily.left"),
        Arrow("daily.right", "windows.left"),
        Arrow("windows.right", "allocations.left"),
        Arrow("allocations.bottom", "publication.top"),
        Arrow("publication.left", "readers.right"),
    ),
)

INBOX = Picture(
    "The inbox: files arrive by mab import, mab ingest, POST or by hand; the ledger notes each; a "
    "file that cannot be read is quarantined, a row that cannot be true is rejected.",
    (960, 290),
    {
        "import": Box(10, 20, 170, ("mab import", "mab ingest", "POST /…/metrics"), "files"),
        "hand": Box(10, 170, 170, ("a file by hand", "an export job"), "files"),
        "inbox": Box(250, 88, 160, ("inbox", "a file never", "changes"), "files"),
        "ledger": Box(490, 20, 190, ("inbox_files: the ledger", "name, hash, received at")),
        "quarantine": Box(760, 20, 180, ("quarantined file", "its reason in the ledger"), "stop"),
        "raw": Box(490, 170, 190, ("raw_metrics", "every row, as text")),
        "daily": Box(760, 110, 180, ("daily_metrics", "last accepted row counts"), "out"),
        "rejected": Box(760, 210, 180, ("rejected row", "kept, with its reason"), "stop"),
    },
    (
        Arrow("import.right", "inbox.left", "receipt"),
        Arrow("hand.right", "inbox.left", "sighting"),
        Arrow("inbox.right", "ledger.left"),
        Arrow("inbox.right", "raw.left"),
        Arrow("ledger.right", "quarantine.left"),
        Arrow("raw.right", "daily.left"),
        Arrow("raw.right", "rejected.left"),
    ),
)

GATE = Picture(
    "The gate: a decision that meets every condition is published; otherwise the experiment keeps "
    "its last publication and the answer says held back.",
    (960, 230),
    {
        "decision": Box(10, 80, 170, ("decision", "one experiment, one day")),
        "gate": Box(290, 46, 270, (
            "the gate asks",
            "a row for each variant?",
            "shares sum to 100.00 %?",
            "draws agree with P(best)?",
            "data alive and complete?",
        )),
        "published": Box(690, 25, 250, ("published", "tomorrow's shares"), "out"),
        "held": Box(690, 120, 250, (
            "held back, with the reason", "readers keep the last publication",
        ), "stop"),
    },
    (
        Arrow("decision.right", "gate.left"),
        Arrow("gate.right", "published.left", "all yes"),
        Arrow("gate.right", "held.left", "a no"),
    ),
)  # fmt: skip

JOURNAL = Picture(
    "The journal: decisions, publications, holds and the ledger are written as immutable files; "
    "replay computes a decision again, rebuild restores the warehouse from inbox and journal.",
    (960, 260),
    {
        "inbox": Box(10, 30, 180, ("inbox", "counts and experiments"), "files"),
        "journal": Box(10, 160, 180, (
            "journal", "decisions, publications,", "holds, ledger",
        ), "files"),
        "replay": Box(350, 95, 230, ("mab replay", "the same shares, bit for bit?"), "out"),
        "warehouse": Box(730, 30, 210, ("warehouse", "may be lost")),
        "rebuild": Box(350, 20, 230, ("mab rebuild", "every table again"), "out"),
        "run": Box(730, 170, 210, ("a run", "commits, then journals")),
    },
    (
        Arrow("inbox.right", "rebuild.left"),
        Arrow("journal.right", "rebuild.left"),
        Arrow("inbox.right", "replay.left"),
        Arrow("journal.right", "replay.left"),
        Arrow("rebuild.right", "warehouse.left"),
        Arrow("run.top", "warehouse.bottom"),
        Arrow("run.left", "journal.right", "new entries", dashed=True),
    ),
)  # fmt: skip

PICTURES = {
    "concept-assets": ASSETS,
    "concept-inbox": INBOX,
    "concept-gate": GATE,
    "concept-journal": JOURNAL,
}


def main() -> None:
    """Write the pictures."""
    for name, picture in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(picture.svg(), "utf-8")


if __name__ == "__main__":
    main()
