"""A feed that died while files still come in: rows without an impression are no data."""

import pytest

LAST_DATA = "2025-03-11"
DAYS = ("2025-03-12", "2025-03-13", "2025-03-14")

# What an export job whose source is gone may go on writing: variant, impressions, clicks.
DEAD = {
    "nothing": (),
    "zeros": (("control", 0, 0), ("variant_a", 0, 0)),
    "padded_zeros": (("control", "000", "0"), ("variant_a", "00", "0")),
    "zeros_for_one": (("control", 0, 0),),
    "rubbish": (("control", "NaN", 0), ("variant_a", "", "")),
    "negative": (("control", -1, 0), ("variant_a", -1, -1)),
}
ALIVE = "one_impression"  # on the first of DAYS, for one variant


@pytest.fixture(scope="module")
def world(make_world):
    """Experiments with data up to LAST_DATA, then three days of their feed."""
    world = make_world(now="2025-03-15T02:00:00")
    feeds = {**DEAD, ALIVE: DEAD["zeros"], "only_zeros": DEAD["zeros"]}
    for name in feeds:
        world.register(name)
    for day in ("2025-03-10", LAST_DATA, *DAYS):
        rows = []
        for name, feed in feeds.items():
            if name == ALIVE and day == DAYS[0]:
                rows.append((name, "control", 1, 0))
            elif day in DAYS or name == "only_zeros":
                rows += [(name, *row) for row in feed]
            else:
                rows += [(name, "control", 400, 4), (name, "variant_a", 400, 4)]
        world.metrics(day, *rows)
    world.run(LAST_DATA, DAYS[-1])
    return world


@pytest.mark.parametrize("feed", DEAD)
def test_a_feed_without_impressions_is_a_dead_feed(world, feed):
    # MAX_DATA_GAP_DAYS=3: the third day without an impression is held back.
    body = world.bodies()[feed]
    assert body["as_of_date"] <= DAYS[1]
    assert body["held_back"] == {
        "reason": "data_gap",
        "detail": f"no accepted impressions since {LAST_DATA}, 3 days are allowed",
    }
    assert body["data_through"] == LAST_DATA


def test_the_check_names_the_dead_feeds_and_no_other(world):
    found = world.find("publication", "feeds_are_alive", LAST_DATA, DAYS[-1])
    assert {str(failure.day) for failure in found} == {DAYS[-1]}
    names = {failure.experiment_id for failure in found}
    assert names == {world.register(name) for name in DEAD}


def test_one_impression_of_one_variant_keeps_a_feed_alive(world):
    body = world.bodies()[ALIVE]
    assert (body["as_of_date"], body["held_back"]) == (DAYS[-1], None)
    assert body["data_through"] == DAYS[0]


def test_an_experiment_that_only_ever_brought_zeros_never_had_data(world):
    body = world.bodies()["only_zeros"]
    assert (body["as_of_date"], body["held_back"]) == (DAYS[-1], None)
    assert body["data_through"] is None
