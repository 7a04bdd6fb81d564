"""The source document's own example, through the whole pipeline."""

import pytest

from mab_pipeline import bandit

NAME = "homepage_cta_test"
VARIANTS = {"control": 320, "variant_a": 420, "variant_b": 380}
DAYS = [f"2025-03-{day:02}" for day in range(6, 20)]


@pytest.fixture(scope="module")
def world(make_world):
    world = make_world()
    world.register(NAME, *VARIANTS)
    for day in DAYS:
        world.metrics(day, *((NAME, name, 10_000, clicks) for name, clicks in VARIANTS.items()))
    world.run(DAYS[0], DAYS[-1])
    return world


def test_one_day_of_it_gives_about_0_92_and_8_percent(world):
    # The posteriors are Beta(321, 9779), Beta(421, 9679) and Beta(381, 9719). The exact
    # probabilities are 3.46e-05, 0.925374752684 and 0.0745906426309; the standard error of
    # 10,000 draws is at most 0.27 %, and five of them 1.4 %.
    shares = world.shares(NAME, DAYS[0])
    assert shares["control"] <= 0.05
    assert shares["variant_a"] == pytest.approx(92.54, abs=1.4)
    assert shares["variant_b"] == pytest.approx(7.46, abs=1.4)
    assert sum(round(100 * share) for share in shares.values()) == 10_000


def test_the_exact_probability_is_stored_beside_the_share(world):
    rows = world.query(
        "select variant_name, alpha, beta, probability_best from allocations "
        "where as_of_date = ? order by 1",
        DAYS[0],
    )
    assert [row[:3] for row in rows] == [
        ("control", 321.0, 9779.0),
        ("variant_a", 421.0, 9679.0),
        ("variant_b", 381.0, 9719.0),
    ]
    best = [row[3] for row in rows]
    assert best == pytest.approx([3.46e-05, 0.925374752684, 0.0745906426309], abs=5e-8)
    assert best == bandit.probability_best([r[1] for r in rows], [r[2] for r in rows]).tolist()


def test_fourteen_days_of_it_give_everything_to_variant_a(world):
    # 140,000 impressions each with 4,480, 5,880 and 5,320 clicks.
    assert world.windows(NAME, DAYS[-1])["variant_a"] == ("default_window", 14, 140_000, 5_880)
    assert world.shares(NAME, DAYS[-1]) == {"control": 0, "variant_a": 100, "variant_b": 0}


def test_the_served_body_has_the_briefs_keys_first_and_in_its_order(world):
    body = world.bodies()[NAME]
    assert list(body)[:6] == [
        "experiment_id",
        "experiment_name",
        "computed_at",
        "algorithm",
        "window_days",
        "allocations",
    ]
    assert body["algorithm"] == "thompson_sampling"
    assert body["window_days"] == 14
    variant = body["allocations"][1]
    assert list(variant)[:4] == ["variant_name", "is_control", "allocation_percentage", "metrics"]
    # 5,880 / 140,000 = 0.042
    assert variant["metrics"] == {"impressions": 140_000, "clicks": 5_880, "ctr": 0.042}
    assert variant["buckets"] == [[0, 99]]
    assert [v["variant_name"] for v in body["allocations"]] == list(VARIANTS)
