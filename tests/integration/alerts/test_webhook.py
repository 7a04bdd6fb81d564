"""The alert webhook: dead, slow, refusing or rubbish, it harms nothing and its URL stays secret."""

import json
import logging
from contextlib import suppress

import pytest
from pydantic import SecretStr

from mab_pipeline.alerts import webhook as webhook_module
from mab_pipeline.operations.doctor import examine
from mab_store.errors import SettingsError
from mab_store.settings import load_settings
from tests.integration.alerts.alerting import DAY, SECRET, Daemon, fail_run, listening

NOTHING_TOLD = "Sent: nothing. Pending: run_failure/daily_allocation"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(scope="module")
def webhook():
    with listening() as webhook:
        yield webhook


@pytest.fixture
def daemon(make_world, webhook):
    """The sensor on a world of its own in which a run failed."""
    webhook.reset()
    world = make_world(alert_webhook_url=webhook.url)
    fail_run(world)
    return Daemon(world)


@pytest.mark.parametrize("status", [500, 404, 302])
def test_one_that_refuses_is_tried_at_each_tick_until_it_takes_the_alert(daemon, webhook, status):
    webhook.status = status
    for _ in range(3):
        assert daemon.tick() == f"{NOTHING_TOLD}."
    assert webhook.asked == 3
    assert daemon.memory.is_webhook_down

    webhook.status = 200
    assert daemon.tick() == "Sent: run_failure/daily_allocation. Pending: nothing."
    assert [alert["count"] for alert in webhook.got] == [1]
    assert not daemon.memory.is_webhook_down


def test_one_that_never_answers_is_given_up_and_holds_up_no_tick(daemon, webhook, monkeypatch):
    monkeypatch.setattr(webhook_module, "TIMEOUT_SECONDS", 0.2)
    webhook.status = None
    fail_run(daemon.world, job=daemon.defs.resolve_job_def("refresh_day"))
    assert daemon.tick() == f"{NOTHING_TOLD}, run_failure/refresh_day."

    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "*")
    webhook.status = 200
    daemon.tick()
    assert [alert["subject"] for alert in webhook.got] == ["daily_allocation", "refresh_day"]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://127.0.0.1:{port}", "ConnectionRefusedError"),
        ("https://127.0.0.1:{port}", "ConnectionRefusedError"),
        ("https://no..such..host", "UnicodeError"),
    ],
)
def test_one_that_is_not_there_is_warned_of_once(make_world, free_port, capfd, address, why):
    url = f"{address.format(port=free_port)}/services/{SECRET}"
    world = make_world(alert_webhook_url=url)
    fail_run(world)
    daemon = Daemon(world)
    assert daemon.tick() == daemon.tick() == f"{NOTHING_TOLD}."
    said = capfd.readouterr().err
    assert said.count(f"ALERT_WEBHOOK_URL does not take alerts: {why}.") == 1


def test_the_url_is_in_no_log_no_event_and_no_record(make_world, free_port, caplog, capfd):
    world = make_world(alert_webhook_url=f"http://127.0.0.1:{free_port}/services/{SECRET}")
    world.register("cta")
    world.metrics(DAY, ("cta", "control", 1000, 30), ("cta", "variant_a", 1000, 40))
    result = world.run(DAY, assets=("experiments", "raw_metrics"))
    run_id = fail_run(world)
    daemon = Daemon(world)
    with caplog.at_level(logging.DEBUG):
        said = [daemon.tick(), daemon.cursor, repr(world.settings), str(world.settings)]
        said += [f"{f.detail} {f.remedy}" for f in examine(world.platform, world.instance)]
    for run in (result.run_id, run_id):
        said += [str(entry) for entry in world.instance.all_logs(run)]
    said += [record.getMessage() for record in caplog.records]
    said += list(capfd.readouterr())
    said += [json.dumps(row, default=str) for rows in world.tables().values() for row in rows]
    assert any("ALERT_WEBHOOK_URL does not take alerts" in text for text in said)
    assert not [text for text in said if SECRET in text]


@pytest.mark.parametrize("status", [200, 302, 500])
def test_no_library_logs_the_url_of_a_webhook_that_answers(webhook, caplog, status):
    webhook.reset()
    webhook.status = status
    with caplog.at_level(logging.DEBUG), suppress(webhook_module.WebhookError):
        webhook_module.post(SecretStr(webhook.url), {})
    assert webhook.asked == 1
    assert not [record for record in caplog.records if SECRET in record.getMessage()]


@pytest.mark.parametrize(
    "url",
    [
        f"hooks.example.com/{SECRET}",
        f"ftp://hooks.example.com/{SECRET}",
        f"file:///etc/{SECRET}",
        f"https:///{SECRET}",
        f"https://hooks.example.com:port/{SECRET}",
        f"https://[::1/{SECRET}",
        f"https://hooks.example.com/{SECRET} and more",
        f"https://hooks.example.com/{SECRET}\r\nX: 1",
        f"http://hooks.example.com/{SECRET}",
    ],
)
def test_a_url_that_is_rubbish_is_refused_in_one_sentence_without_it(url):
    with pytest.raises(SettingsError) as raised:
        load_settings(alert_webhook_url=url, _env_file=None)
    message = str(raised.value)
    assert message.startswith("Settings: ALERT_WEBHOOK_URL=***: must be https")
    assert SECRET not in message
