"""Alerts: what is told, and how often."""

from datetime import timedelta

import pytest

from mab_pipeline.operations.doctor import examine
from mab_store.experiments.schemas import experiment_id_of
from tests.integration.alerts.alerting import DAY, Daemon, fail_run, listening


@pytest.fixture(scope="module")
def webhook():
    with listening() as webhook:
        yield webhook


@pytest.fixture
def hook(webhook, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    webhook.reset()
    return webhook


@pytest.fixture(scope="module")
def world(make_world, webhook):
    """One good day, with the last publication on 2025-03-19; nothing is wrong."""
    world = make_world(alert_webhook_url=webhook.url, mab_dagster_url="https://dagster.test/")
    world.register("cta")
    for day in ("2025-03-18", DAY):
        world.metrics(day, ("cta", "control", 1000, 30), ("cta", "variant_a", 1000, 40))
    world.run("2025-03-18", DAY)
    return world


@pytest.fixture(scope="module")
def lasting_daemon(world):
    return Daemon(world)


@pytest.fixture
def daemon(lasting_daemon, hook):
    """The sensor on that world, with nothing to tell, in the night after the newest day."""
    lasting_daemon.world.clock.set("2025-03-20T03:00:00")
    lasting_daemon.settle()
    hook.reset()
    return lasting_daemon


def test_a_good_run_tells_nobody(make_world, hook):
    world = make_world(alert_webhook_url=hook.url)
    world.run(DAY, assets=("experiments", "raw_metrics"))
    assert Daemon(world).tick() == "Sent: nothing. Pending: nothing."
    assert hook.asked == 0


def test_a_failed_run_is_told_with_its_reason_what_to_do_and_a_link(daemon, hook):
    run_id = fail_run(daemon.world)
    daemon.tick()

    (alert,) = hook.got
    assert (alert["kind"], alert["subject"], alert["count"]) == (
        "run_failure",
        "daily_allocation",
        1,
    )
    assert alert["summary"] == f"daily_allocation of {DAY} failed. It was ended."
    assert alert["days"] == [DAY]
    assert f"run `mab run --date {DAY}`" in alert["what_to_do"]
    assert alert["links"] == [f"https://dagster.test/runs/{run_id}"]
    assert alert["sent_at"] == "2025-03-20T03:00:00Z"
    headline, remedy, link = alert["text"].splitlines()
    assert headline == f"mab: daily_allocation of {DAY} failed. It was ended."
    assert remedy == f"What to do: {alert['what_to_do']}"
    assert link == alert["links"][0]


def test_a_storm_of_failing_runs_is_one_alert_an_hour_that_says_how_many(daemon, hook):
    fail_run(daemon.world)
    daemon.tick()
    for number in range(12):
        last = fail_run(daemon.world, day=f"2025-03-{1 + number % 19:02}")
    for _ in range(3):
        daemon.tick()
    assert len(hook.got) == 1

    daemon.world.clock.set("2025-03-20T03:59:00")
    daemon.tick()
    assert len(hook.got) == 1

    daemon.world.clock.set("2025-03-20T04:00:30")
    daemon.tick()
    assert [alert["count"] for alert in hook.got] == [1, 12]
    assert hook.got[1]["text"].startswith("mab: 12 times, the newest: daily_allocation of ")
    assert hook.got[1]["links"][0].endswith(last)
    assert len(hook.got[1]["links"]) == 10


def test_a_daemon_that_starts_again_repeats_nothing_and_forgets_nothing(daemon, hook):
    fail_run(daemon.world)
    daemon.tick()
    fail_run(daemon.world)
    daemon.tick()
    restarted = Daemon(daemon.world)
    restarted.cursor = daemon.cursor  # it is all that Dagster keeps
    restarted.tick()
    assert len(hook.got) == 1
    daemon.world.clock.set("2025-03-20T04:10:00")
    restarted.tick()
    daemon.cursor = restarted.cursor
    assert [alert["count"] for alert in hook.got] == [1, 1]


def test_other_causes_do_not_wait_for_one_that_was_told(daemon, hook):
    fail_run(daemon.world)
    daemon.tick()
    fail_run(daemon.world, job=daemon.defs.resolve_job_def("refresh_day"))
    daemon.tick()
    assert [alert["subject"] for alert in hook.got] == ["daily_allocation", "refresh_day"]


def test_a_blocking_check_is_told_once_by_its_name_and_not_as_a_failed_run_too(daemon, hook):
    world = daemon.world
    name = world.metrics("2025-03-15", ("cta", "control", 10, 1), name="late.csv")
    result = world.run(DAY, assets=("windowed_aggregates", "allocations"), fails=True)
    (world.inbox / name).unlink()
    daemon.tick()

    (alert,) = hook.got
    assert (alert["kind"], alert["subject"]) == (
        "check_failure",
        "windowed_aggregates.window_days_are_loaded",
    )
    assert "metrics/2025-03-15/late.csv is not loaded" in alert["text"]
    assert f"mab run --date {DAY}" in alert["what_to_do"]
    assert alert["links"] == [f"https://dagster.test/runs/{result.run_id}"]


def test_a_check_that_holds_experiments_back_is_told_with_their_names(daemon, hook):
    world = daemon.world
    change = "update allocations set allocation_hundredths = allocation_hundredths {} 1"
    world.query(change.format("+"))
    world.run_checks("allocations", DAY)
    world.query(change.format("-"))
    daemon.tick()

    (alert,) = hook.got
    assert (alert["kind"], alert["subject"]) == ("check_failure", "allocations.shares_sum_to_100")
    assert alert["experiments"] == [experiment_id_of("cta")]
    assert alert["days"] == [DAY]


def test_rejected_rows_above_the_share_are_told(daemon, hook):
    world = daemon.world
    name = world.metrics("2025-03-10", ("cta", "control", 1, 2), ("cta", "control", 10, 1))
    world.run("2025-03-10", assets=("raw_metrics", "daily_metrics"))
    daemon.tick()

    (alert,) = hook.got
    assert alert["kind"] == "rejected_rows"
    assert "2025-03-10: 1 of 2 rows were rejected" in alert["text"]
    assert "hand in a corrected file" in alert["what_to_do"]
    (world.inbox / name).unlink()


def test_an_experiment_that_keeps_its_publication_for_want_of_data_is_told(make_world, hook):
    world = make_world(now="2025-03-10T02:00:00", alert_webhook_url=hook.url, max_rejected_share=1)
    experiment_id = world.register("dying")
    world.metrics("2025-03-09", ("dying", "control", 1000, 30), ("dying", "variant_a", 9, 10))
    world.run("2025-03-09")
    daemon = Daemon(world)
    daemon.tick()
    # A day of which half is rejected is nothing to tell where MAX_REJECTED_SHARE is 1.
    assert hook.got == []

    world.clock.set("2025-03-13T12:00:00")
    world.run("2025-03-12")  # past the deadline; but the publication did run
    daemon.tick()

    (alert,) = hook.got
    assert alert["kind"] == "data_gap"
    assert alert["experiments"] == [experiment_id]
    assert "dying: no accepted impressions since 2025-03-09, 3 days" in alert["text"]


def test_a_publication_past_its_deadline_is_told_each_hour_until_it_ran(daemon, hook):
    # Day 03-20 is due on 03-21 at MAB_SCHEDULE_HOUR=2 plus PUBLICATION_DEADLINE_HOURS=2.
    world = daemon.world
    world.clock.set("2025-03-21T03:59:00")
    daemon.tick()
    assert hook.got == []

    for now in ("2025-03-21T04:00:30", "2025-03-21T04:30:00", "2025-03-21T05:01:00"):
        world.clock.set(now)
        daemon.tick()
    assert [alert["kind"] for alert in hook.got] == ["publication_late"] * 2
    assert hook.got[0]["summary"] == (
        "2025-03-20 is not published, 4 hours after its end; readers are served 2025-03-19."
    )
    assert "mab run --date 2025-03-20" in hook.got[0]["what_to_do"]
    assert hook.got[1]["count"] == 1

    world.run("2025-03-20", assets=("publication",))
    world.clock.set("2025-03-21T07:00:00")
    assert daemon.tick() == "Sent: nothing. Pending: nothing."


def test_nothing_is_late_where_nothing_was_ever_published(make_world, hook):
    world = make_world(now="2025-03-21T20:00:00", alert_webhook_url=hook.url)
    assert Daemon(world).tick() == "Sent: nothing. Pending: nothing."


def test_without_a_url_nobody_is_told_and_nothing_is_remembered(make_world):
    world = make_world()
    fail_run(world)
    daemon = Daemon(world)
    assert daemon.tick() == "ALERT_WEBHOOK_URL is not set: no alert is sent."
    assert daemon.cursor is None


def test_a_cursor_that_somebody_spoilt_begins_anew(daemon, hook):
    fail_run(daemon.world)
    daemon.cursor = "what is this"
    daemon.tick()
    assert "run_failure" in [alert["kind"] for alert in hook.got]


def test_a_clock_that_jumped_back_a_day_silences_nobody(daemon, hook):
    fail_run(daemon.world)
    daemon.tick()
    daemon.world.clock.now -= timedelta(days=1)
    fail_run(daemon.world)
    daemon.tick()
    assert len(hook.got) == 2


def test_what_slack_takes_for_markup_is_sent_as_text(daemon, hook):
    fail_run(daemon.world, message="<!channel> & all")
    daemon.tick()
    (alert,) = hook.got
    assert "&lt;!channel&gt; &amp; all" in alert["text"]
    assert "<!channel>" not in alert["text"]
    assert "<!channel> & all" in alert["summary"]


def test_the_doctor_says_whether_anybody_is_told(make_world, world):
    def line(of):
        found = examine(of.platform, of.instance, with_api=False)
        return next(finding for finding in found if finding.part == "alerts")

    assert line(world).detail == "the daemon posts them to ALERT_WEBHOOK_URL"
    nobody = line(make_world())
    assert nobody.is_ok
    assert "set ALERT_WEBHOOK_URL" in nobody.detail
