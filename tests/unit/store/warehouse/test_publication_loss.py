from datetime import date, timedelta

import pytest

from mab_store.warehouse.publication_loss import Loss, Published, publication_loss

DAY = date(2025, 1, 31)
WAS = Published(DAY, 30)


@pytest.mark.parametrize(
    ("now", "is_loss"),
    [
        pytest.param(WAS, False, id="the same"),
        pytest.param(Published(DAY + timedelta(days=1), 31), False, id="a day more"),
        pytest.param(Published(DAY, 31), False, id="an older day was filled in"),
        pytest.param(Published(DAY, 29), True, id="an older day is missing"),
        pytest.param(Published(DAY - timedelta(days=1), 29), True, id="the newest day is missing"),
        pytest.param(Published(DAY - timedelta(days=1), 40), True, id="it ends earlier"),
        pytest.param(Published(DAY + timedelta(days=1), 1), True, id="it began again from nothing"),
    ],
)
def test_a_history_that_got_shorter_is_a_loss(now, is_loss):
    loss = publication_loss({"exp_a": WAS}, {"exp_a": now})

    assert loss == Loss(shortened=("exp_a",) if is_loss else ())
    assert bool(loss) is is_loss


@pytest.mark.parametrize(
    ("old", "new", "gone"),
    [
        pytest.param({}, {}, (), id="nothing before, nothing now"),
        pytest.param({}, {"exp_a": WAS}, (), id="the first publication"),
        pytest.param({"exp_a": WAS}, {"exp_a": WAS, "exp_b": WAS}, (), id="one more"),
        pytest.param({"exp_a": WAS, "exp_b": WAS}, {"exp_b": WAS}, ("exp_a",), id="one less"),
        pytest.param({"exp_a": WAS}, {"exp_b": WAS}, ("exp_a",), id="another one in its place"),
        pytest.param({"exp_a": WAS, "exp_b": WAS}, {}, ("exp_a", "exp_b"), id="an empty world"),
    ],
)
def test_an_experiment_that_is_gone_is_a_loss(old, new, gone):
    loss = publication_loss(old, new)

    assert loss == Loss(experiments=gone)
    assert bool(loss) is bool(gone)


def test_a_loss_says_how_much_and_names_a_few():
    old = {f"exp_{number}": WAS for number in range(8)}

    loss = publication_loss(old, {"exp_0": Published(DAY, 1), "exp_1": WAS})

    assert str(loss) == (
        "published experiments gone: 6 (exp_2, exp_3, exp_4, exp_5, exp_6 and 1 more); "
        "published history shorter: 1 (exp_0)"
    )
