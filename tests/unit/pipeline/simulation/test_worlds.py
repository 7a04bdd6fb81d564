"""Worlds from TOML: the catalogue, each ingredient, and files that cannot be used."""

import numpy as np
import pytest

from mab_pipeline.simulation.truth import draw_truth
from mab_pipeline.simulation.worlds import World, load_worlds
from mab_store.errors import UsageError

HEAD = '[[world]]\nname = "w"\ntraffic = 10\n'


def world(**more):
    return World(**({"name": "w", "traffic": 10, "rates": [0.1, 0.2], "days": 3} | more))


def load(tmp_path, text):
    path = tmp_path / "worlds.toml"
    path.write_text(text, "utf-8")
    return load_worlds(path)


def test_the_catalogue_has_24_worlds_each_with_a_description():
    worlds = load_worlds()
    assert len(worlds) == 24
    assert all(world.description for world in worlds)


def test_rates_by_day_follow_changes_trend_weekday_and_joins():
    assert np.array_equal(world().daily_rates(), [[0.1, 0.2]] * 3)
    assert np.array_equal(world(rates=[0.1, [0.1, 0.2, 0.3]]).daily_rates()[:, 1], [0.1, 0.2, 0.3])
    changed = world(changes=[{"day": 3, "rates": [0.5, 0.6]}, {"day": 2, "rates": [0.3, 0.4]}])
    assert np.array_equal(changed.daily_rates(), [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    assert world(trend=[1.0, -0.5]).daily_rates() == pytest.approx(
        np.array([[0.1, 0.2], [0.15, 0.15], [0.2, 0.1]])
    )
    week = world(days=8, weekday=[1, 2, 1, 1, 1, 1, 0]).daily_rates()
    assert week[:, 0] == pytest.approx([0.1, 0.2, 0.1, 0.1, 0.1, 0.1, 0.0, 0.1])
    joined = world(joins=[1, 3]).daily_rates()
    assert np.isnan(joined[:, 1]).tolist() == [True, True, False]
    assert world(days=9, traffic=[1, 2, 3, 4, 5, 6, 7]).daily_traffic().tolist() == [
        *range(1, 8),
        *(1, 2),
    ]


def test_random_factors_have_mean_one_and_the_spread_that_was_asked_for():
    noisy = world(days=2, day_spread=0.2, arm_spread=0.1, rates=[0.05, 0.1])
    rates = draw_truth(noisy, 40_000, np.random.default_rng(5)).rates
    factors = rates / np.array([0.05, 0.1])
    assert factors.mean() == pytest.approx(1.0, abs=0.01)
    # Variances: of the product (1.04)(1.01) - 1; of the ratio of two variants of a day 2 * 0.01.
    assert factors[0, :, 0].var() == pytest.approx(1.04 * 1.01 - 1.0, rel=0.05)
    assert np.log(factors[0, :, 0] / factors[0, :, 1]).var() == pytest.approx(0.02, rel=0.05)
    certain = world(rates=[1.0, 1.0], day_spread=1.0)
    assert draw_truth(certain, 100, np.random.default_rng(5)).rates.max() == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rates = [", "is not TOML"),
        ("", "must consist of"),
        ("[world]\nname = 1\n", "must consist of"),
        (HEAD + "rates = [0.1, 0.2]\n[extra]\n", "and has extra"),
        (HEAD, "world 1 (w): rates: Field required"),
        (HEAD + "rates = [0.1]\n", "world 1 (w): rates"),
        (HEAD + "rates = [0.1, 1.1]\n", "world 1 (w): rates"),
        (HEAD + "rates = [0.1, nan]\n", "world 1 (w): rates"),
        (HEAD + 'rates = [0.1, "a"]\n', "world 1 (w): rates"),
        (HEAD + "rates = [0.1, 0.2]\nspeed = 1\n", "speed: Extra inputs"),
        (HEAD + "rates = [0.1, 0.2]\ndays = 0\n", "days: "),
        (HEAD + "rates = [0.1, 0.2]\ndays = 1001\n", "days: "),
        (HEAD + "rates = [0.1, [0.1]]\n", "rates by day must have 60 values, not 1"),
        (HEAD + "rates = [0.1, 0.2]\njoins = [2, 2]\n", "at least one variant"),
        (HEAD + "rates = [0.1, 0.2]\njoins = [1]\n", "joins must have 2 values"),
        (HEAD + "rates = [0.1, 0.2]\nlate = [0.5, 0.4]\n", "late must sum to 1"),
        (HEAD + "rates = [0.1, 0.6]\ntrend = 1.0\n", "reach 1.2"),
        (HEAD + "rates = [0.1, 0.2]\nweekday = [1, 2]\n", "weekday: "),
        (HEAD + "rates = [0.1, 0.2]\nchanges = [{day = 61, rates = [1, 1]}]\n", "after the last"),
        (HEAD + "rates = [0.1, 0.2]\nchanges = [{day = 2, rates = [1]}]\n", "must have 2 rates"),
        ((HEAD + "rates = [0.1, 0.2]\n") * 2, "2 worlds named w"),
        ('[[world]]\nname = "<b>"\ntraffic = 1\nrates = [0.1, 0.2]\n', "name: "),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_place(tmp_path, text, message):
    with pytest.raises(UsageError) as error:
        load(tmp_path, text)
    assert message in str(error.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_worlds(tmp_path / "nothing.toml")
    with pytest.raises(UsageError, match="cannot be read"):
        load_worlds(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="is not TOML"):
        load_worlds(tmp_path / "bytes.toml")


@pytest.mark.parametrize("text", [f"a = {'[' * 5000}{']' * 5000}", f"a = {'9' * 5000}"])
def test_toml_that_python_cannot_hold_is_refused(tmp_path, text):
    with pytest.raises(UsageError, match="is not TOML"):
        load(tmp_path, text)


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (found,) = load(tmp_path, "\ufeff" + HEAD + "rates = [0.1, 0.2]\n")
    assert found.rates == [0.1, 0.2]
