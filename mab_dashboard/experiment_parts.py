"""The HTML of an experiment's page: its headline, its table of evidence, its facts."""

from collections.abc import Mapping
from typing import Any

from mab_dashboard.api import Body
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
from mab_dashboard.look import SHAPES, block, key_mark, verdict_words
from mab_dashboard.moves import Fact
from mab_dashboard.sayings import error_rate, said
from mab_dashboard.texts import text

PER = 10_000
"""Impressions that the expected loss is shown for."""
_COUNTS = frozenset({"impressions", "clicks"})
_RATES = frozenset({"ctr", "earlier"})
COLUMNS = (
    "variant",
    "share",
    "change",
    "counts",
    "rate",
    "lift",
    "beats",
    "best",
    "loss",
    "window",
)


def headline(record: Body, analysis: Body | None, language: Language) -> str:
    """Return the name, the verdict and its reason, and how often the rule is wrong."""
    advice = {} if analysis is None else analysis["advice"]
    verdict = advice.get("verdict")
    colour = SHAPES[verdict][1] if verdict in SHAPES else "#7a7f87"
    wrong = error_rate(advice, language)
    rate = f'<div class="dim">{markup(text("error_rate", language))}: {markup(wrong)}</div>'
    reason = said(advice.get("reason", ""), advice.get("messages"), language)
    description = (
        f'<div class="dim">{markup(record["description"])}</div>' if record["description"] else ""
    )
    status = text(f"status_{record['status']}", language)
    return block(
        f"<h2>{markup(record['name'])}</h2>"
        f'<div class="dim"><span class="mono">{markup(record["experiment_id"])}</span>, '
        f"{markup(status)}</div>{description}"
        f'<div class="verdict" style="border-color:{colour};margin-top:.5rem">'
        f"{verdict_words(verdict, language)} "
        f"<span>{sentence(reason)}</span>{rate if wrong else ''}</div>"
    )


def other_leader(analysis: Body) -> str | None:
    """Return the variant that is likely best in the window; None if the advice names the same."""
    advised = analysis["advice"]["variant_name"]
    best = max(analysis["variants"], key=lambda row: float(row["probability_best"]))
    likely = str(best["variant_name"])
    return None if advised in {None, likely} else likely


def evidence_table(
    now: Body,
    before: Body | None,
    analysis: Body | None,
    *,
    colours: Mapping[str, str],
    language: Language,
) -> str:
    """Return the variants with their shares and the evidence for them.

    Args:
        now: The explanation of the day.
        before: The explanation of the day before; None if there was none.
        analysis: The newest analysis; its columns are empty if it is of another allocation.
        colours: Colours of the variants.
        language: The language.
    """
    old = {} if before is None else {row["variant_name"]: row for row in before["variants"]}
    is_same = analysis is not None and analysis["allocation_id"] == now["allocation_id"]
    found = (
        {row["variant_name"]: row for row in analysis["variants"]} if is_same and analysis else {}
    )
    rows = "".join(
        _row(
            row, old.get(name), found.get(name, {}), mark=key_mark(name, colours), language=language
        )
        for row in now["variants"]
        for name in [row["variant_name"]]
    )
    head = "".join(f"<th>{markup(text(f'column_{name}', language))}</th>" for name in COLUMNS)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return block(f'<div class="scroll">{table}</div>')


def _row(row: Body, old: Body | None, analysed: Body, *, mark: str, language: Language) -> str:
    share = row["allocation_percentage"]
    change = None if old is None else share - old["allocation_percentage"]
    metrics = row["metrics"]
    counts = f"{number(metrics['clicks'], language)} / {number(metrics['impressions'], language)}"
    rate = analysed.get("credible_interval")
    loss = analysed.get("expected_loss")
    lift = percent(analysed.get("lift"), language, sign=True)
    cells = (
        f"<b>{percent(share / 100, language)}</b>",
        NOTHING if change is None else f"{number(change, language, 1, sign=True)}",
        counts,
        _two(percent(metrics["ctr"], language, 2), rate and _rate_interval(rate, language)),
        _two(
            lift, analysed.get("lift") is not None and interval(analysed["lift_interval"], language)
        ),
        probability(analysed.get("probability_beats_control"), language),
        probability(row["probability_best"], language),
        NOTHING if loss is None else number(PER * loss, language, 1),
        _window(row, language),
    )
    name = f"<td>{mark}{markup(row['variant_name'])}</td>"
    return f"<tr>{name}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def fact_words(fact: Fact, language: Language) -> str:
    """Return the HTML of a reason why shares moved."""
    values: dict[str, Any] = {}
    for name, value in fact.values.items():
        if name in _COUNTS:
            values[name] = number(value, language, sign=fact.key == "moved_counts")
        elif name in _RATES:
            values[name] = percent(value, language, 3)
        else:
            values[name] = value
    return markup(text(fact.key, language, **values))


def what_changed(change: Body) -> str:
    """Return a change by the owner in a few words: the keys and values of the API."""
    parts = [f"status = {change['status']}"] if change["status"] else []
    parts += [f"+ {name}" for name in change["add_variants"]]
    parts += [f"- {name}" for name in change["retire_variants"]]
    parts += [f"{name} = {value}" for name, value in (change["decision"] or {}).items()]
    return "; ".join(parts)


def _two(first: str, second: object) -> str:
    return f'{first}<div class="dim">{markup(second)}</div>' if second else first


def _rate_interval(ends: list[float], language: Language) -> str:
    low, high = (number(100 * end, language, 2) for end in ends)
    return f"{low} … {high} %"


def _window(row: Body, language: Language) -> str:
    if row["data_source"] == "prior":
        return markup(text("window_prior", language))
    return markup(text("window_days", language, days=row["window_days"]))
