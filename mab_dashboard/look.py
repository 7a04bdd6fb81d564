"""How things look: colours, style sheet and the HTML of rows, in which text is never markup."""

from collections.abc import Mapping, Sequence

from mab_dashboard.formats import (
    NOTHING,
    Language,
    interval,
    markup,
    number,
    percent,
    probability,
    sentence,
)
from mab_dashboard.overview import Row
from mab_dashboard.sayings import said
from mab_dashboard.texts import text

CONTROL_COLOUR = "#7a7f87"
# Okabe and Ito's colours, which people with any colour vision tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#773311")
# Laid over the colours: no two of the first seven variants differ by colour alone.
PATTERNS = (
    "",
    "repeating-linear-gradient(45deg,#fffc 0 1.5px,#0000 1.5px 5px),",
    "radial-gradient(#fffd 1.1px,#0000 1.4px) 0 0/4px 4px,",
    "repeating-linear-gradient(90deg,#000a 0 1px,#0000 1px 4px),",
    "repeating-linear-gradient(-45deg,#000a 0 1.5px,#0000 1.5px 6px),",
    "repeating-linear-gradient(0deg,#fffc 0 1px,#0000 1px 4px),",
    "repeating-linear-gradient(90deg,#fffc 0 3px,#0000 3px 9px),",
)
SHAPES = {
    "keep_running": ("●", "#56B4E9"),
    "safe_to_stop": ("■", "#009E73"),
    "winner": ("★", "#E69F00"),
    "data_problem": ("▲", "#D55E00"),
}
NO_VERDICT = ("○", "#7a7f87")

STYLE = """<style>
.stMainBlockContainer {max-width: 1240px; padding: 1.1rem 1.5rem 4rem;}
[data-testid="stVerticalBlock"] {gap: .65rem;}
.mab {font-size: .92rem; line-height: 1.4; font-variant-numeric: tabular-nums;}
.mab .dim {opacity: .72; font-size: .84rem;}
.mab .mono {font-family: "Source Code Pro", monospace; font-size: .8rem;}
.mab h2 {font-size: 1.35rem; font-weight: 650; margin: 0; padding: 0; overflow-wrap: anywhere;}
.mab h3 {font-size: 1rem; font-weight: 650; margin: 1.1rem 0 .1rem; padding: 0;}
.mab .name {font-weight: 620; overflow-wrap: anywhere;}
.mab .shape {display: inline-block; width: 1.15em;}
.mab .badge {display: inline-block; border: 1px solid color-mix(in srgb, currentColor 38%,
  transparent); border-radius: 3px; padding: 0 .38em; margin: .12em .3em 0 0; font-size: .76rem;}
.mab .row {display: grid; grid-template-columns: 2.6fr 2.2fr 1.25fr 1.25fr 1.05fr; gap: 0 1.1rem;
  align-items: start;}
.mab .head {opacity: .72; font-size: .78rem; font-weight: 600;
  border-bottom: 1px solid color-mix(in srgb, currentColor 25%, transparent);
  padding-bottom: .25rem;}
.mab .num {text-align: right;}
.mab .bar {display: flex; height: 11px; border-radius: 2px; overflow: hidden; gap: 1px;
  margin: .3em 0 .1em;}
.mab .bar.before {height: 5px; opacity: .6;}
.mab .key {display: inline-block; width: .95em; height: .7em; border-radius: 1px;
  margin-right: .35em;}
.mab .legend span.item {margin-right: .8em; white-space: nowrap; font-size: .8rem;}
.mab .scroll {overflow-x: auto;}
.mab table {border-collapse: collapse; width: 100%; font-size: .88rem;}
.mab th, .mab td {padding: .32rem .6rem .32rem 0; text-align: right; border: 0;
  border-bottom: 1px solid color-mix(in srgb, currentColor 14%, transparent); white-space: nowrap;}
.mab th {font-weight: 600; font-size: .78rem; opacity: .78; white-space: normal;
  vertical-align: bottom;}
.mab th:first-child, .mab td:first-child {text-align: left;}
.mab td:first-child {white-space: normal; overflow-wrap: anywhere; min-width: 6.5rem;}
.mab ul {margin: .2rem 0 0 1.1rem; padding: 0;} .mab li {margin: .12rem 0; font-size: .9rem;}
.mab code {font-size: .86em;}
[class*="st-key-row_"] {border-bottom: 1px solid color-mix(in srgb, currentColor 12%, transparent);
  padding-bottom: .55rem;}
[class*="st-key-row_"] [data-testid="stVerticalBlock"] {gap: 0;}
[class*="st-key-open_"] button {min-height: 0; padding: 0; text-align: left;}
[class*="st-key-open_"] button p {font-weight: 620; color: light-dark(#005a92, #7cc0ee);
  overflow-wrap: anywhere;}
.mab .verdict {border-left: 3px solid; padding: .1rem 0 .1rem .7rem;}
@media (max-width: 700px) {
  .stMainBlockContainer {padding: .8rem .8rem 3rem;}
  .mab .row {grid-template-columns: 1fr 1fr;} .mab .row > :nth-child(-n+2) {grid-column: 1 / -1;}
  .mab .head {display: none;} .mab .num {text-align: left;}
}
</style>"""


def colours_of(variants: Sequence[str], control: str | None) -> dict[str, str]:
    """Return a colour for each variant: grey for the control, the palette in order for others."""
    others = [name for name in variants if name != control]
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(others)}
    return {name: colours.get(name, CONTROL_COLOUR) for name in variants}


def fill_of(name: str, colours: Mapping[str, str]) -> str:
    """Return the CSS background of a variant: its colour, and a pattern by its place."""
    place = list(colours).index(name)
    return f"{PATTERNS[place % len(PATTERNS)]}{colours[name]}"


def key_mark(name: str, colours: Mapping[str, str]) -> str:
    """Return the HTML of a variant's mark in a legend or a table."""
    return f'<span class="key" style="background:{fill_of(name, colours)}"></span>'


def block(content: str) -> str:
    """Return HTML in the dashboard's style."""
    return f'<div class="mab">{content}</div>'


def heading(words: str) -> str:
    """Return a heading of a section."""
    return block(f"<h3>{markup(words)}</h3>")


def verdict_words(verdict: str | None, language: Language) -> str:
    """Return the HTML of a verdict: shape, colour and words."""
    shape, colour = SHAPES.get(verdict or "", NO_VERDICT)
    words = text(f"verdict_{verdict}" if verdict in SHAPES else "verdict_none", language)
    mark = f'<span class="shape" aria-hidden="true" style="color:{colour}">{shape}</span>'
    return f"{mark}<b>{markup(words)}</b>"


def header_row(language: Language) -> str:
    """Return the header of the overview."""
    cells = ("filter_verdict", "column_split", "column_leader", "column_lift", "column_seen")
    right = ("column_lift", "column_seen")
    return block(
        '<div class="row head" aria-hidden="true">'
        + "".join(
            f'<div class="{"num" if cell in right else ""}">{markup(text(cell, language))}</div>'
            for cell in cells
        )
        + "</div>"
    )


def overview_row(row: Row, language: Language) -> str:
    """Return the HTML of an experiment in the overview."""
    badges = "".join(
        f'<span class="badge">{markup(text(f"badge_{name}", language))}</span>'
        for name in row.badges
    )
    words = said(row.reason, row.messages, language)
    reason = f'<div class="dim">{sentence(words)}</div>' if words else ""
    first = f"<div>{verdict_words(row.verdict, language)}{reason}<div>{badges}</div></div>"
    return block(
        f'<div class="row">{first}<div>{share_bars(row.shares, language)}</div>'
        f"<div>{_leader(row, language)}</div>"
        f'<div class="num">{_lift(row, language)}</div>'
        f'<div class="num">{_seen(row, language)}</div></div>'
    )


def share_bars(shares: Sequence[dict[str, object]], language: Language) -> str:
    """Return the shares as two stacked bars, the day's above the day's before, with a legend."""
    if not shares:
        return ""
    control = next((str(item["variant_name"]) for item in shares if item["is_control"]), None)
    colours = colours_of([str(item["variant_name"]) for item in shares], control)
    words = ", ".join(
        f"{item['variant_name']} {percent(_part(item, 'allocation_percentage'), language)}"
        for item in shares
    )
    legend = "".join(
        f'<span class="item">{key_mark(name, colours)}'
        f"{markup(name)} {percent(_part(item, 'allocation_percentage'), language)}</span>"
        for item in _largest(shares)
        for name in [str(item["variant_name"])]
    )
    more = f'<span class="item">+{len(shares) - MOST_NAMED}</span>' if _has_more(shares) else ""
    now = _bar(shares, "allocation_percentage", colours)
    before = ""
    if any(item["previous_percentage"] is not None for item in shares):
        before = f'<div class="bar before">{_bar(shares, "previous_percentage", colours)}</div>'
    said = markup(text("shares_of", language, shares=words))
    return (
        f'<div role="img" aria-label="{said}"><div class="bar">{now}</div>{before}</div>'
        f'<div class="legend">{legend}{more}</div>'
    )


MOST_NAMED = 4


def _has_more(shares: Sequence[object]) -> bool:
    return len(shares) > MOST_NAMED


def _largest(shares: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Return the variants that the legend names: the largest shares, in their order."""
    if not _has_more(shares):
        return list(shares)
    ranked = sorted(shares, key=lambda item: -_part(item, "allocation_percentage"))[:MOST_NAMED]
    return [item for item in shares if item in ranked]


def _bar(shares: Sequence[dict[str, object]], key: str, colours: dict[str, str]) -> str:
    return "".join(
        f'<span style="flex:{_part(item, key):.4f} 0 0;'
        f'background:{fill_of(str(item["variant_name"]), colours)}"></span>'
        for item in shares
        if _part(item, key) > 0
    )


def _part(item: dict[str, object], key: str) -> float:
    value = item[key]
    return float(value) / 100 if isinstance(value, int | float) else 0.0


def _leader(row: Row, language: Language) -> str:
    if row.leader is None:
        return ""
    chance = text("best_chance", language, chance=probability(row.probability_best, language))
    return f'<div class="name">{markup(row.leader)}</div><div class="dim">{markup(chance)}</div>'


def _lift(row: Row, language: Language) -> str:
    if row.leader is None:
        return ""
    if row.lift is None:
        return f'<div class="dim">{markup(text("control", language))}</div>'
    ends = interval(row.lift_interval, language)
    return (
        f'<div>{percent(row.lift, language, sign=True)}</div><div class="dim">{markup(ends)}</div>'
    )


def _seen(row: Row, language: Language) -> str:
    if not row.shares:
        return ""
    days = text("seen_days", language, days=number(row.days, language))
    through = text("through", language, day=row.data_through or NOTHING)
    shown = "".join(f'<div class="dim">{sentence(line)}</div>' for line in (days, through))
    return f"<div>{number(row.impressions, language)}</div>{shown}"
