"""Simulated policies: the method against plain draws, the figures, the seeds, the report."""

import numpy as np
import pytest

from mab_pipeline.bandit import posterior, probability_best, thompson_shares
from mab_pipeline.simulation.outcome import gains, summarise
from mab_pipeline.simulation.play import Past, Played, play
from mab_pipeline.simulation.policy import parse_policy
from mab_pipeline.simulation.report import html_report
from mab_pipeline.simulation.simulate import simulate
from mab_pipeline.simulation.truth import Truth, draw_truth
from mab_pipeline.simulation.worlds import World, load_worlds
from mab_store.errors import UsageError
from mab_store.settings import Settings

SETTINGS = Settings(_env_file=None)
CATALOGUE = {world.name: world for world in load_worlds()}


def policy(text="brief"):
    return parse_policy(text, SETTINGS)


def outcomes(*names, reps=60, policies=("brief",), seed=1):
    worlds = [CATALOGUE[name] for name in names]
    details = simulate(worlds, [policy(text) for text in policies], reps=reps, seed=seed)
    return [detail.outcome for detail in details]


def test_a_new_variant_never_leaves_the_prior_and_a_starved_one_never_comes_back():
    joined, switched = outcomes("join_5", "switch_30")
    assert joined.gain < 0.0
    assert joined.below_equal > 0.9
    assert joined.leader_end < 0.2
    assert switched.leader_30 == 1.0
    assert switched.leader_end == 0.0


def test_two_equal_variants_show_95_percent_on_some_day_in_most_runs():
    (equal,) = outcomes("equal_two")
    assert (equal.gain, equal.se, equal.below_equal, equal.bad_traffic) == (0.0, 0.0, 0.0, 0.0)
    assert equal.leader_end == 1.0
    assert equal.false_winner > 0.75


def test_the_shares_follow_the_distribution_of_real_draws():
    rates = np.full((3, 4000, 2), [0.05, 0.06])
    truth = Truth(np.array([0, 600, 600]), rates[:, :1], rates, np.array([1.0]))
    rule = policy("THOMPSON_SAMPLES=100").rule
    played = play(truth, rule, np.random.default_rng(1))
    # Nothing is known on day 1 nor, with no traffic, on day 2.
    alpha, beta = posterior(*np.zeros((2, 4000, 2)), prior_alpha=1, prior_beta=99)
    drawn = thompson_shares(alpha, beta, samples=100, seeds=np.arange(4000))
    for day in (0, 1):
        ours = played.shares[day, :, 0]
        levels = (0.05, 0.5, 0.95)
        assert np.quantile(ours, levels) == pytest.approx(
            np.quantile(drawn[:, 0], levels), abs=0.011
        )
        assert ours.std() == pytest.approx(0.05, rel=0.05)
    # On day 3 the draws are those of the evidence.
    alpha, beta = posterior(played.clicks[1], played.impressions[1], prior_alpha=1, prior_beta=99)
    drawn = thompson_shares(alpha, beta, samples=100, seeds=np.arange(4000))
    enough = (played.impressions[1] >= 200).all(axis=1)
    assert enough.sum() > 1000
    miss = (played.shares[2] - drawn)[enough, 0]
    spread = np.sqrt(2.0 * played.best[2, enough, 0] * played.best[2, enough, 1] / 100.0)
    assert (miss / np.maximum(spread, 1e-9)).std() == pytest.approx(1.0, abs=0.1)


def test_late_clicks_enter_the_evidence_when_they_are_reported():
    rates = np.ones((5, 1, 2))
    truth = Truth(np.full(5, 10_000), rates, rates, np.array([0.0, 0.0, 1.0]))
    rule = policy("DEFAULT_WINDOW_DAYS=30").rule
    late = play(truth, rule, np.random.default_rng(1))
    # With no click reported until day 3, the variants with fewer impressions look better; from
    # then on every click of two days before counts. P(best) says what the evidence was.
    for day, known in ((2, 0), (3, 1), (4, 2)):
        alpha, beta = posterior(
            late.clicks[:known].sum(axis=0),
            late.impressions[:day].sum(axis=0),
            prior_alpha=1,
            prior_beta=99,
        )
        assert np.array_equal(late.best[day], probability_best(alpha, beta))


def test_the_figures_are_what_their_definitions_say():
    expected = np.array([[[0.1, 0.3]], [[0.1, 0.3]], [[0.3, 0.1]]])
    rates = np.repeat(expected, 2, axis=1)
    truth = Truth(np.array([100, 100, 200]), expected, rates, np.array([1.0]))
    shares = np.array(
        [[[0.5, 0.5], [0.5, 0.5]], [[0.2, 0.8], [1.0, 0.0]], [[0.2, 0.8], [1.0, 0.0]]]
    )
    best = np.array(
        [[[0.5, 0.5], [0.5, 0.5]], [[0.04, 0.96], [0.9, 0.1]], [[0.04, 0.96], [0.9, 0.1]]]
    )
    counts = np.zeros_like(shares, dtype=np.int64)
    outcome = summarise(("w", "p"), truth, Played(shares, best, counts, counts)).outcome
    # Clicks: equal split 20 + 20 + 40; the first run 20 + 26 + 28, the second 20 + 10 + 60.
    assert gains(truth, Played(shares, best, counts, counts)) == pytest.approx([-6 / 80, 10 / 80])
    assert outcome.gain == pytest.approx(2.5)
    assert outcome.se == pytest.approx(10.0)
    assert outcome.below_equal == 0.5
    assert outcome.leader_7 is outcome.leader_14 is outcome.leader_30 is None
    assert outcome.leader_end == 0.5
    # Traffic on the worse variant: 50, 50; 20, 100; 160, 0 of 400 each.
    assert outcome.bad_traffic == pytest.approx(380 / 800)
    # Only the first run claims a winner: right on day 2, wrong on day 3.
    assert outcome.days_to_95 is None
    assert outcome.false_winner == 0.5
    assert outcome.moved == pytest.approx((0.3 + 0.5) / 4)


def test_the_same_seed_gives_the_same_figures_whatever_else_is_simulated():
    alone = outcomes("three_5", reps=20)
    assert outcomes("three_5", reps=20) == alone
    assert (
        outcomes("equal_two", "three_5", reps=20, policies=("MIN_IMPRESSIONS=0", "brief"))[-1]
        == alone[0]
    )
    assert outcomes("three_5", reps=20, seed=2) != alone


def test_batches_of_repetitions_add_up(monkeypatch):
    monkeypatch.setattr("mab_pipeline.simulation.simulate._BATCH", 7 * 60 * 3)
    told = []
    details = list(
        simulate([CATALOGUE["three_5"]], [policy()], reps=20, seed=1, follow=told.append)
    )
    assert 5.0 < details[0].outcome.gain < 11.0
    assert details[0].best_share.shape == (60,)
    assert [(step.text, step.done) for step in told] == [("three_5, brief", 0.0)]


def test_a_single_repetition_has_no_standard_error():
    (one,) = outcomes("three_5", reps=1)
    assert one.se is None


def test_a_world_without_traffic_gains_nothing():
    empty = World(name="w", traffic=0, rates=[0.1, 0.2], days=1)
    (detail,) = simulate([empty], [policy("ALLOCATION_METHOD=exact")], reps=2, seed=1)
    assert (detail.outcome.gain, detail.outcome.bad_traffic, detail.outcome.moved) == (0, 0, 0)


def test_the_multinomial_plays_as_literal_draws_do():
    """Both are drawn at once here: the same numbers."""
    policies = [policy("ALLOCATION_METHOD=multinomial"), policy()]
    world = World(name="w", traffic=500, rates=[0.05, 0.06], days=3)
    first, second = (detail.outcome for detail in simulate([world], policies, reps=4, seed=1))
    assert first.gain == second.gain


def test_more_repetitions_than_memory_holds_are_refused():
    large = World(name="w", traffic=1, rates=[0.1] * 100, days=1000)
    with pytest.raises(UsageError, match="Use at most 200 repetitions"):
        list(simulate([large], [policy()], reps=201, seed=1))


def test_a_variant_gets_nothing_before_it_joins():
    world = World(name="w", traffic=1000, rates=[0.01, 0.01, 0.02], days=4, joins=[1, 1, 3])
    generator = np.random.default_rng(1)
    played = play(draw_truth(world, 5, generator), policy().rule, generator)
    assert not played.impressions[:2, :, 2].any()
    assert (played.shares[2:, :, 2] > 0.0).all()
    assert np.allclose(played.shares.sum(axis=2), 1.0)


def test_policies_are_presets_settings_or_both():
    assert policy("brief").rule.min_impressions == 200
    assert policy("brief, MIN_IMPRESSIONS=7 ,PRIOR_ALPHA=2").rule.min_impressions == 7
    own = Settings(_env_file=None, min_impressions=9)
    assert parse_policy("current,PRIOR_ALPHA=2", own).rule.min_impressions == 9
    assert parse_policy("PRIOR_ALPHA=2", own).rule.min_impressions == 200


def test_a_preset_is_its_settings_and_a_setting_beside_it_wins():
    safe = policy("safe,EXPLORATION=0.1").rule
    assert (safe.burn_in, safe.exploration, safe.short_window) == ("on", 0.1, "keep")
    assert policy("robust").rule.default_window_days == 28
    assert parse_policy("current", Settings(_env_file=None, decision_preset="safe")).rule == (
        policy("safe").rule
    )


def test_safe_settings_end_what_starves_a_variant_under_the_briefs_rule():
    brief, safe = outcomes("join_5", policies=("brief", "safe"))
    assert safe.gain > brief.gain + 4.0
    brief, safe = outcomes("switch_30", policies=("brief", "safe"))
    assert (brief.leader_end, safe.leader_end) == (0.0, 1.0)


def test_robust_settings_run_and_the_controls_floor_holds():
    (robust,) = outcomes("close_two", reps=3, policies=("robust",))
    assert robust.gain > 0.0
    world = World(name="w", traffic=1000, rates=[0.01, 0.09], days=10)
    generator = np.random.default_rng(1)
    rule = policy("CONTROL_MIN_ALLOCATION=0.3").rule
    played = play(draw_truth(world, 5, generator), rule, generator)
    assert played.shares[:, :, 0].min() == pytest.approx(0.3)


def test_neither_the_environment_nor_env_files_change_a_policy(monkeypatch):
    monkeypatch.setenv("MIN_IMPRESSIONS", "1")
    assert policy("brief").rule.min_impressions == 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rubbish", "'rubbish' is none of brief, safe, robust"),
        ("", "'' is none of"),
        ("MIN_IMPRESSIONS=x", "MIN_IMPRESSIONS: "),
        ("MIN_IMPRESSIONS=-1", "MIN_IMPRESSIONS: "),
        ("API_PORT=1", "'API_PORT=1' is none of"),
        ("MIN_IMPRESSIONS=1,brief", "'brief' is none of"),
        ("DEFAULT_WINDOW_DAYS=31", "longer than"),
    ],
)
def test_a_policy_that_cannot_be_used_is_refused(text, message):
    with pytest.raises(UsageError) as error:
        policy(text)
    assert message in str(error.value)


def test_the_report_is_one_page_that_loads_nothing():
    world = World(name="w", traffic=10, rates=[0.1, 0.2], days=2, description="<script>&")
    details = list(simulate([world], [policy(), policy("PRIOR_ALPHA=2")], reps=2, seed=1))
    page = html_report([world], details, reps=2, seed=1)
    assert "<script>" not in page
    assert "&lt;script&gt;&amp;" in page
    assert page.count("<svg") == 2
    assert page.count("<polyline") == 2
    assert not any(word in page for word in ("http:", "https:", "src=", "url("))


def test_a_course_goes_on_from_the_days_before_it():
    rates = np.full((3, 50, 2), [0.05, 0.1])
    truth = Truth(np.full(3, 400), rates[:, :1], rates, np.array([1.0]))
    counts = np.array([[500, 500], [500, 500]]), np.array([[5, 50], [5, 50]])
    dice = np.random.default_rng
    played = play(truth, policy().rule, dice(1), Past(*counts))
    assert played.shares.shape == played.impressions.shape == (3, 50, 2)
    assert (played.shares[0, :, 1] > 0.99).all()
    nothing = Past(*np.zeros((2, 0, 2), np.int64))
    for one, other in zip(
        play(truth, policy().rule, dice(2), nothing),
        play(truth, policy().rule, dice(2)),
        strict=True,
    ):
        assert (one == other).all()
