"""Exposures: each is handed over once, in order, and a callback that fails loses none."""

from mab_client import exposures as module
from mab_client.document import Assignment
from mab_client.exposures import Exposures

GIVEN = Assignment("exp_one", "a", "allocation", "alc_one")


def test_they_come_in_batches_in_their_order():
    batches = []
    exposures = Exposures(batches.append, clock=lambda: 5.0)
    for number in range(module.BATCH + 1):
        exposures.add(f"s{number}", GIVEN)
    exposures.flush()
    exposures.flush()
    assert [len(batch) for batch in batches] == [module.BATCH, 1]
    assert [one.session_id for batch in batches for one in batch] == [
        f"s{number}" for number in range(module.BATCH + 1)
    ]
    assert batches[0][0] == ("exp_one", "s0", "a", "allocation", "alc_one", 5.0)


def test_a_batch_that_fails_is_handed_over_again_before_the_next(caplog):
    taken, is_down = [], True

    def deliver(batch):
        if is_down:
            raise ConnectionError("the log is away")
        taken.extend(one.session_id for one in batch)

    exposures = Exposures(deliver)
    exposures.add("first", GIVEN)
    exposures.flush()
    exposures.add("second", GIVEN)
    is_down = False
    exposures.flush()
    assert taken == ["first", "second"]
    assert "1 exposures wait" in caplog.text


def test_beyond_the_limit_new_ones_are_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    taken = []
    exposures = Exposures(taken.extend)
    for name in ("first", "second", "third"):
        exposures.add(name, GIVEN)
    assert exposures.dropped == 1
    exposures.flush()
    assert [one.session_id for one in taken] == ["first", "second"]
