"""Every sentence that the pipeline writes for readers is known to `mab_store.messages`."""

import numpy as np
import pytest

from mab_pipeline.allocation import variant_gaps
from mab_pipeline.allocation.analysis import Evidence, analyse
from mab_pipeline.allocation.gate import Share, missing_rows, unlikely_draws, wrong_totals
from mab_pipeline.allocation.stop_rule import advise
from mab_store.messages import CODES, messages_of
from tests.unit.pipeline.allocation.test_gate import current

NAMES = ("control; x", "b: 3 leads after 2 days")


def advice(days=14, clicks=(50, 50), shown=1000, *, names=NAMES, loss=0.005, faults=()):
    counts = np.tile(np.array(clicks[: len(names)], float), (days, 1))
    impressions = np.full(counts.shape, float(shown))
    return advise(names, impressions, counts, stop_loss=loss, faults=faults).reason


@pytest.mark.parametrize(
    ("text", "code", "parameters"),
    [
        (advice(1), "few_days", {"days": "1", "needed": "14"}),
        (advice(13), "few_days", {"days": "13", "needed": "14"}),
        (advice(names=("a",)), "one_variant", {}),
        (advice(clicks=(5, 200)), "winner", {"variant": NAMES[1], "days": "14"}),
        (advice(loss=0.9), "safe_to_stop", {"stop_loss": "90", "days": "14"}),
        (advice(loss=1e-9), "keep_running", {"stop_loss": "1e-07"}),
    ],
)
def test_an_advice_is_known_with_its_values(text, code, parameters):
    (found,) = messages_of(text)
    assert found["code"] == code
    assert found["parameters"].items() >= parameters.items()


def codes(text):
    return [found["code"] for found in messages_of(text)]


def mismatch():
    shown = np.array([[9000.0, 1000.0]])
    shares = np.array([[0.5, 0.5]])
    evidence = Evidence(NAMES, 0, np.ones(2), np.ones(2), None, shown, shown / 10, shares, shares)
    return analyse(evidence)


def test_faults_are_known_one_by_one_also_with_names_that_look_like_sentences():
    row = {"variant_name": NAMES[0], "impressions": 12.4, "rejection_reason": "negative"}
    rejected = row | {"rejected_impressions": 5, "all_impressions": 50}
    gap = "; ".join([variant_gaps._silence(row), variant_gaps._rejections([rejected], 0.05)])
    faults = (
        f"in the 3 days up to 2026-03-09 {gap}",
        "no accepted impressions since 2026-03-01, 3 days are allowed",
        "no accepted impressions since 2026-03-01",
        "3 of 9 rows of 2026-03-09 were rejected",
    )
    assert codes(advice(faults=faults)) == [
        "faults",
        "span",
        "variant_silent",
        "impressions_rejected",
        "data_gap",
        "no_impressions",
        "rejected_rows",
    ]
    assert codes(f"on 2026-03-09 {gap}")[0] == "span_day"
    assert codes(mismatch().advice.reason) == ["faults", "mismatch"]


def test_findings_of_the_gate_are_known():
    few = current(a=Share(4999, 0.5, 10_000), b=Share(5000, 0.5, 10_000))
    odd = current(a=Share(9000, 0.5, 10_000), b=Share(1000, 0.5, 10_000))
    assert codes(wrong_totals(few)[0].detail) == ["wrong_total"]
    assert codes(unlikely_draws(odd)[0].detail) == ["unlikely_share"]
    assert codes(missing_rows(current(a=Share(10_000, 1.0, 10_000)))[0].detail) == ["missing_rows"]
    drawn = (
        "b: 3 wins in 200000 literal draws, but P(best), which its share was made from, is 0.5 "
        "(tail 1.0e-99)"
    )
    assert codes(drawn) == ["unlikely_probability"]


def ratio(shown, share):
    planes = np.array([shown], float), np.array([share], float)
    names = ("a", "b", "c")[: len(shown)]
    ones = np.ones(len(shown))
    evidence = Evidence(names, 0, ones, ones, None, planes[0], planes[0] * 0, *[planes[1]] * 2)
    return analyse(evidence).sample_ratio.note


@pytest.mark.parametrize(
    ("shown", "share", "code"),
    [
        ((0, 0), (0.5, 0.5), "ratio_no_day"),
        ((9,), (1.0,), "ratio_one_variant"),
        ((4, 4), (0.5, 0.5), "ratio_too_few"),
        ((500, 500, 1), (0.499, 0.499, 0.002), "ratio_pooled"),
    ],
)
def test_notes_on_the_sample_ratio_are_known(shown, share, code):
    assert codes(ratio(shown, share)) == [code]


@pytest.mark.parametrize("text", ["", "x", "See to the data first: x.", "3 of 9 rows; x"])
def test_an_unknown_sentence_has_no_codes(text):
    assert messages_of(text) == []
    assert len(set(CODES)) == len(CODES)


def test_a_long_hostile_name_takes_no_time():
    name = "a leads after 1 days; choosing it is expected to cost 1 % of the clicks, " * 200
    assert codes(f"{name} has no accepted impressions, its shares promised 5") == ["variant_silent"]
