"""The rule: decisions are told apart, named by what decided them, and recorded whole."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest

from mab_pipeline import bandit
from mab_pipeline.allocation.decide import decide, identify
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_store.settings import load_settings
from mab_store.warehouse.table_schema import declared_tables

RULE = RuleSettings(14, 30, 200, 1.0, 99.0, "monte_carlo", 10_000, 7)
EXACT = replace(RULE, allocation_method="exact")
NOW = datetime(2025, 3, 2, 2, tzinfo=UTC).replace(tzinfo=None)
MONDAY, TUESDAY = date(2025, 3, 3), date(2025, 3, 4)
# Day, experiment, variant, impressions, clicks: two decisions of two, one of three variants.
ROWS = [
    (MONDAY, "exp_a", "control", 1000, 30),
    (MONDAY, "exp_a", "b", 1000, 45),
    (MONDAY, "exp_b", "control", 500, 5),
    (MONDAY, "exp_b", "b", 600, 12),
    (MONDAY, "exp_b", "c", 0, 0),
    (TUESDAY, "exp_b", "control", 700, 7),
    (TUESDAY, "exp_b", "b", 800, 16),
]


def inputs(*rows: tuple[date, str, str, int, int]) -> pa.Table:
    """Return rows of `sql/assets/allocations_inputs.sql`."""
    return pa.table(
        {
            "as_of_date": pa.array([row[0] for row in rows], pa.date32()),
            "experiment_id": pa.array([row[1] for row in rows], pa.string()),
            "variant_name": pa.array([row[2] for row in rows], pa.string()),
            "window_days": pa.array([14 if row[3] else 30 for row in rows], pa.int64()),
            "data_source": pa.array(
                ["default_window" if row[3] else "prior" for row in rows], pa.string()
            ),
            "impressions": pa.array([row[3] for row in rows], pa.int64()),
            "clicks": pa.array([row[4] for row in rows], pa.int64()),
            "default_window_impressions": pa.array([row[3] for row in rows], pa.int64()),
            "default_window_clicks": pa.array([row[4] for row in rows], pa.int64()),
            "max_window_impressions": pa.array([row[3] + 9 for row in rows], pa.int64()),
            "max_window_clicks": pa.array([row[4] + 1 for row in rows], pa.int64()),
            "impressions_since_joined": pa.nulls(len(rows), pa.int64()),
        }
    )


def decided(rule_settings: RuleSettings, *rows: tuple[date, str, str, int, int]) -> pa.Table:
    decisions = identify(inputs(*rows), rule_settings, version="v1")
    return decide(decisions, version="v1", now=NOW, run_id="run-1")


def ids(settings: RuleSettings = RULE, version: str = "v1", rows=ROWS) -> list[str]:
    return identify(inputs(*rows), settings, version=version).allocation_ids


def test_the_deciding_settings_are_those_of_the_same_names():
    settings = load_settings(
        _env_file=None,
        default_window_days=3,
        max_window_days=5,
        min_impressions=7,
        prior_alpha=1.5,
        prior_beta=2.5,
        allocation_method="exact",
        thompson_samples=11,
        mab_seed=13,
    )
    found = RuleSettings.of(settings)
    assert found == RuleSettings(3, 5, 7, 1.5, 2.5, "exact", 11, 13)
    assert found.window_parameters == {
        "default_window_days": 3,
        "max_window_days": 5,
        "min_impressions": 7,
    }


def test_settings_are_recorded_as_one_text_that_is_read_back():
    text = RULE.to_json()
    assert text == (
        '{"allocation_method":"monte_carlo","default_window_days":14,"max_window_days":30,'
        '"min_impressions":200,"prior_alpha":1.0,"prior_beta":99.0,"seed_base":7,'
        '"thompson_samples":10000}'
    )
    assert RuleSettings.from_json(text) == RULE


def test_rows_that_follow_each_other_with_one_day_and_experiment_are_one_decision():
    decisions = identify(inputs(*ROWS), RULE, version="v1")
    assert len(decisions) == 3
    assert decisions.first_rows.tolist() == [0, 2, 5]
    assert decisions.sizes.tolist() == [2, 3, 2]
    assert [decisions.key(place) for place in range(3)] == [
        (MONDAY, "exp_a"),
        (MONDAY, "exp_b"),
        (TUESDAY, "exp_b"),
    ]
    assert [decisions.variants(place) for place in range(3)] == [
        ["control", "b"],
        ["control", "b", "c"],
        ["control", "b"],
    ]


def test_the_names_of_decisions_never_change():
    """Recorded decisions carry these hashes; replay compares them."""
    (first, *_), (identity, *_) = (
        identify(inputs(*ROWS), RULE, version="v1").inputs_hashes,
        ids(),
    )
    seen = [
        ["control", 14, "default_window", 1000, 30, 1000, 30, 1009, 31],
        ["b", 14, "default_window", 1000, 45, 1000, 45, 1009, 46],
    ]
    assert first == digest(seen)
    assert identity == "alc_" + digest(["2025-03-03", "exp_a", first, RULE.to_json(), "v1"])


def digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_name_outside_ascii_is_hashed_as_itself():
    rows = [(MONDAY, "exp_ä", "ü", 1, 0)]
    (identity,) = ids(rows=rows)
    inputs_hash = digest([["ü", 14, "default_window", 1, 0, 1, 0, 10, 1]])
    expected = ["2025-03-03", "exp_ä", inputs_hash, RULE.to_json(), "v1"]
    assert identity == "alc_" + digest(expected)


def test_a_decision_has_another_name_if_anything_that_decides_it_differs():
    base = ids()
    assert base == ids()
    assert all(a != b for a, b in zip(base, ids(version="v2"), strict=True))
    assert all(a != b for a, b in zip(base, ids(replace(RULE, seed_base=8)), strict=True))
    more = [*ROWS[:3], (MONDAY, "exp_b", "b", 600, 13), *ROWS[4:]]
    assert [a == b for a, b in zip(base, ids(rows=more), strict=True)] == [True, False, True]
    # The order of experiments and what stands beside a decision change nothing.
    assert ids(rows=ROWS[2:5]) == base[1:2]


def test_no_rows_are_no_decisions():
    for settings in (RULE, EXACT):
        decisions = identify(inputs(), settings, version="v1")
        assert len(decisions) == 0
        rows = decide(decisions, version="v1", now=NOW, run_id="run-1")
        assert len(rows) == 0
        assert rows.schema == declared_tables()["allocations"].arrow_schema


@pytest.mark.parametrize("settings", [RULE, EXACT], ids=["monte_carlo", "exact"])
def test_each_decision_is_what_the_numeric_core_says_of_it_alone(settings):
    rows = decided(settings, *ROWS).to_pylist()
    for start, end in ((0, 2), (2, 5), (5, 7)):
        own = rows[start:end]
        day, experiment, *_ = ROWS[start]
        shown = np.array([[row[3] for row in ROWS[start:end]]], dtype=float)
        clicks = np.array([[row[4] for row in ROWS[start:end]]], dtype=float)
        alpha, beta = 1.0 + clicks, 99.0 + shown - clicks
        seed = bandit.experiment_seed(7, experiment, day)
        best = bandit.probability_best(alpha, beta)
        shares = (
            bandit.thompson_shares(alpha, beta, samples=10_000, seeds=np.array([seed]))
            if settings is RULE
            else best
        )
        assert [row["alpha"] for row in own] == alpha[0].tolist()
        assert [row["beta"] for row in own] == beta[0].tolist()
        assert [row["probability_best"] for row in own] == best[0].tolist()
        hundredths = [row["allocation_hundredths"] for row in own]
        assert hundredths == bandit.to_hundredths(shares)[0].tolist()
        assert sum(hundredths) == 10_000
        assert {row["seed"] for row in own} == {seed}


@pytest.mark.parametrize("settings", [RULE, EXACT], ids=["monte_carlo", "exact"])
def test_a_decision_alone_is_the_one_it_is_among_others(settings):
    assert decided(settings, *ROWS[2:5]).equals(decided(settings, *ROWS).slice(2, 3))


def test_a_row_records_its_inputs_and_its_circumstances():
    table = decided(RULE, *ROWS)
    assert table.schema == declared_tables()["allocations"].arrow_schema
    given = inputs(*ROWS)
    for name in ("as_of_date", "experiment_id", "variant_name", "window_days", "data_source"):
        assert table[name].to_pylist() == given[name].to_pylist()
    for name in ("impressions", "clicks"):
        assert table[name].to_pylist() == given[name].to_pylist()
    assert table["effective_date"].to_pylist() == [TUESDAY] * 5 + [date(2025, 3, 5)] * 2
    decisions = identify(given, RULE, version="v1")
    for name, values in (
        ("allocation_id", decisions.allocation_ids),
        ("inputs_hash", decisions.inputs_hashes),
    ):
        first, second, third = values
        assert table[name].to_pylist() == [first] * 2 + [second] * 3 + [third] * 2
    for name, value in {
        "algorithm": "thompson_sampling",
        "samples": 10_000,
        "settings": RULE.to_json(),
        "code_version": "v1",
        "numpy_version": np.__version__,
        "computed_at": NOW,
        "run_id": "run-1",
    }.items():
        assert set(table[name].to_pylist()) == {value}, name


def test_an_exact_decision_says_so_and_claims_no_draws():
    table = decided(EXACT, *ROWS)
    assert set(table["algorithm"].to_pylist()) == {"probability_best"}
    assert set(table["samples"].to_pylist()) == {0}


def test_the_briefs_rule_decides_1000_random_histories_by_its_formula_bit_for_bit():
    """The options are there, and off: the formula is written out here."""
    generator, rows = np.random.default_rng(1), []
    for history in range(1000):
        for variant in range(int(generator.integers(1, 6))):
            shown = int(generator.choice([0, 200, 5000, 300_000]) * generator.random())
            clicks = int(generator.binomial(shown, generator.choice([0.001, 0.05, 0.4])))
            rows.append((MONDAY, f"exp_{history:04}", f"v{variant}", shown, clicks))
    few = replace(RULE, thompson_samples=1000)
    for settings in (few, replace(EXACT, thompson_samples=1000)):
        rows_made = decided(settings, *rows).to_pylist()
        alpha, beta = np.full((2, 1000, 5), np.nan)
        for _, experiment, variant, shown, clicks in rows:
            cell = int(experiment[4:]), int(variant[1:])
            alpha[cell], beta[cell] = 1.0 + clicks, 99.0 + (shown - clicks)
        shares = best = bandit.probability_best(alpha, beta)
        if settings is few:
            seeds = [bandit.experiment_seed(7, f"exp_{i:04}", MONDAY) for i in range(1000)]
            shares = bandit.thompson_shares(alpha, beta, samples=1000, seeds=np.array(seeds))
        real = ~np.isnan(alpha)
        assert [row["alpha"] for row in rows_made] == alpha[real].tolist()
        assert [row["beta"] for row in rows_made] == beta[real].tolist()
        assert [row["probability_best"] for row in rows_made] == best[real].tolist()
        hundredths = bandit.to_hundredths(shares)[real].tolist()
        assert [row["allocation_hundredths"] for row in rows_made] == hundredths


def test_options_at_the_briefs_value_leave_no_trace_in_the_record():
    preset = load_settings(_env_file=None, decision_preset="brief", mab_seed=7)
    assert RuleSettings.of(preset) == RULE
    assert RuleSettings.of(preset).to_json() == RULE.to_json()
    robust = RuleSettings.of(load_settings(_env_file=None, decision_preset="robust"))
    assert RuleSettings.from_json(robust.to_json()) == robust
    assert json.loads(replace(RULE, exploration=0.02).to_json())["exploration"] == 0.02


def with_options(*rows: tuple[date, str, str, int, int], **columns: list[object]) -> pa.Table:
    table = inputs(*rows)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    return table


def test_what_an_option_reads_is_part_of_the_name_and_what_none_reads_is_not():
    rows = ROWS[:2]
    columns = {"impressions_since_joined": [200, 150], "is_control": [True, False]}
    burning = replace(RULE, burn_in="on")

    def name(rule: RuleSettings, **more: list[object]) -> str:
        return identify(with_options(*rows, **(columns | more)), rule, version="v1").inputs_hashes[
            0
        ]

    plain = identify(inputs(*rows), RULE, version="v1").inputs_hashes[0]
    assert name(RULE) == name(replace(RULE, exploration=0.1)) == plain
    assert name(burning) != plain
    assert name(burning) != name(burning, impressions_since_joined=[200, 151])
    floor = replace(RULE, control_min_allocation=0.1)
    assert name(floor) != name(floor, is_control=[False, True])


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (None, {"burn_in": "on", "exploration": 0.1}),
        ({"exploration": 0}, {"burn_in": "on"}),
        ({"prior": "own_rate"}, {"burn_in": "on", "exploration": 0.1, "prior": "own_rate"}),
        ({"decision_preset": "brief"}, {}),
        (
            {"decision_preset": "safe", "exploration": 0.3},
            {"burn_in": "on", "exploration": 0.3, "short_window": "keep"},
        ),
        (
            {"decision_preset": "robust", "burn_in": "off"},
            {
                "estimate": "day_effects",
                "exploration": 0.02,
                "prior": "own_rate",
                "short_window": "keep",
            },
        ),
    ],
)
def test_an_experiments_own_options_go_before_those_of_the_installation(own, expected):
    installed = replace(RULE, burn_in="on", exploration=0.1)
    merged = installed.with_own_options(None if own is None else json.dumps(own))
    assert merged == replace(RULE, **expected)
    # Merging again changes nothing, and the windows stay.
    assert merged.with_own_options(None if own is None else json.dumps(own)) == merged
    assert merged.default_window_days == 14


def test_decisions_of_different_rules_stand_beside_each_other():
    own = '{"exploration":1.0}'
    table = with_options(*ROWS, decision=[own] * 2 + [None] * 5)
    rows = decide(identify(table, EXACT, version="v1"), version="v1", now=NOW, run_id="run-1")
    assert rows["allocation_hundredths"].to_pylist()[:2] == [5000, 5000]
    plain = decided(EXACT, *ROWS)
    assert rows.slice(2).equals(plain.slice(2))
    assert json.loads(rows["settings"][0].as_py())["exploration"] == 1.0
    assert rows["allocation_id"][0] != plain["allocation_id"][0]
