"""With every experiment paused nothing is due, so nothing warns; what was due before still does."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from mab_pipeline.alerts.conditions import late_publication_notice
from mab_pipeline.operations.doctor import examine
from tests.integration.conftest import FakeClock

NAME = "checkout"
LAST_DAY = "2025-03-18"  # of traffic: the pause is true from the 20th on, so this is for the 19th


@pytest.fixture(scope="module")
def world(make_world):
    """Paused on the 19th, and run on; it is decided up to the 18th."""
    world = make_world(now="2025-03-19T02:00:00")
    world.register(NAME)
    world.metrics(LAST_DAY, (NAME, "control", 400, 4), (NAME, "variant_a", 400, 8))
    world.run(LAST_DAY)
    world.change(NAME, "2025-03-19T10:00:00Z", status="paused")
    world.clock.set("2025-03-20T02:00:00")
    world.run("2025-03-19")
    return world


class StoppedClock(FakeClock):
    """A clock that stands still, for moments that are a microsecond apart."""

    def __call__(self) -> datetime:
        return self.now


def warnings(world, now):
    """Return who warns at a time: the check, the alert, the doctor."""
    world.clock.set(now)
    found = examine(world.platform, world.instance, with_api=False)
    (publication,) = [finding for finding in found if finding.part == "publication"]
    return {
        "check": bool(world.find("publication", "newest_day_is_decided", LAST_DAY)),
        "alert": late_publication_notice(world.platform, world.instance, world.clock()) is not None,
        "doctor": not publication.is_ok,
    }


NOBODY = dict.fromkeys(("check", "alert", "doctor"), False)


@pytest.mark.parametrize("now", ["2025-03-20T03:00:00", "2025-03-21T12:00:00", "2026-03-21T12:00"])
def test_nobody_warns_however_long_all_are_paused(world, now):
    assert warnings(world, now) == NOBODY
    assert not world.bodies()[NAME]["is_stale"]


def test_the_doctor_says_why_nothing_is_due(world):
    world.clock.set("2026-01-01T12:00:00")
    found = examine(world.platform, world.instance, with_api=False)
    (detail,) = [finding.detail for finding in found if finding.part == "publication"]
    assert detail.endswith("; no experiment runs, so nothing newer is due")


# 02:00 is MAB_SCHEDULE_HOUR, and PUBLICATION_DEADLINE_HOURS is 2. The clock stands still here: the
# day is on time up to its deadline, and late a microsecond after it.
@pytest.mark.parametrize(
    ("now", "is_late"),
    [
        ("2025-03-21T03:00:00", False),
        ("2025-03-21T04:00:00", False),
        ("2025-03-21T04:00:00.000001", True),
        ("2025-03-22T04:00:00", True),
    ],
)
def test_check_alert_doctor_and_body_call_a_day_late_from_the_same_moment_on(
    late_world, now, is_late
):
    assert warnings(late_world, now) == dict.fromkeys(("check", "alert", "doctor"), is_late)
    assert late_world.bodies()[NAME]["is_stale"] is is_late


@pytest.mark.parametrize("hours", [1, 24])
def test_one_setting_moves_the_deadline_for_all(late_world, hours, monkeypatch):
    settings = late_world.settings.model_copy(update={"publication_deadline_hours": hours})
    platform = replace(late_world.platform, settings=settings)
    monkeypatch.setattr(late_world, "settings", settings)
    monkeypatch.setattr(late_world, "platform", platform)
    deadline = datetime.fromisoformat("2025-03-21T02:00") + timedelta(hours=hours)
    for moment, is_late in ((deadline, False), (deadline + timedelta(microseconds=1), True)):
        now = moment.isoformat()
        assert warnings(late_world, now) == dict.fromkeys(("check", "alert", "doctor"), is_late)
        assert late_world.bodies()[NAME]["is_stale"] is is_late


@pytest.fixture(scope="module")
def late_world(make_world):
    """Decided up to the 19th; one experiment runs on, another is paused."""
    world = make_world(now="2025-03-20T02:00:00")
    for name in (NAME, "other"):
        world.register(name)
    world.metrics("2025-03-19", (NAME, "control", 400, 4), (NAME, "variant_a", 400, 8))
    world.change("other", "2025-03-18T10:00:00Z", status="paused")
    world.run("2025-03-19")
    world.clock = StoppedClock(str(world.clock.now))
    world.platform = replace(world.platform, clock=world.clock)
    return world


def test_a_home_without_experiments_has_nothing_due(make_world):
    world = make_world()
    world.run("2025-03-19", assets=("experiments",))
    assert world.find("publication", "newest_day_is_decided", "2025-03-19") == []


def test_a_day_that_was_due_before_the_pause_is_late(make_world):
    world = make_world(now="2025-03-22T12:00:00")
    world.register(NAME)
    world.change(NAME, "2025-03-19T10:00:00Z", status="paused")
    world.run("2025-03-19", assets=("experiments",))
    (found,) = world.find("publication", "newest_day_is_decided", "2025-03-19")
    assert found.detail == "no day is decided yet; 2025-03-18 is due, run it"
