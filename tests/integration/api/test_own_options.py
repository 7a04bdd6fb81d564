"""An experiment's own options of the rule: changed, listed, shown from their first day on."""

from datetime import timedelta

import duckdb

from tests.integration.api.homes import NOW, TODAY
from tests.integration.api.test_changes import CHANGES, FIRST, patch


def test_options_of_ones_own_are_kept_listed_and_removed(api):
    own = {"decision_preset": "safe", "exploration": 0.05}
    assert patch(api, decision=own).status_code == 202
    assert patch(api, decision=own).status_code == 200
    api.home.clock.now += timedelta(seconds=1)
    assert patch(api, decision={}).status_code == 202
    assert [c["decision"] for c in api.get(CHANGES).json()["changes"]] == [own, {}]


def test_an_experiment_shows_its_own_options_from_the_day_on_which_they_hold(api):
    own = {"decision_preset": "safe", "exploration": 0.05}
    changed = patch(api, decision=own).json()
    assert (changed["decision"], changed["status"]) == (own, "running")
    path = f"/experiments/{FIRST}"
    assert api.get(path).json()["decision"] is None
    api.home.clock.now = NOW + timedelta(days=1)
    api.home.load_registry()
    api.home.publish(TODAY, only=[])
    assert api.refresh()
    assert api.get(path).json()["decision"] == own
    listed = api.get("/experiments").json()["experiments"]
    assert [record["decision"] for record in listed] == [own, None, None]
    body = {
        "name": "new",
        "decision": own,
        "variants": [{"name": "a", "is_control": True}, {"name": "b"}],
    }
    made = api.post("/experiments", json=body).json()
    assert made["decision"] == own
    assert api.get(f"/experiments/{made['experiment_id']}").json()["decision"] == own


def test_a_copy_from_before_there_were_own_options_is_served(api):
    home = api.home
    copy = home.platform.settings.published_dir / home.publish(TODAY, only=[])
    with duckdb.connect(copy) as connection:
        connection.execute("drop view served_experiments")
        connection.execute(
            "create view served_experiments as select * exclude (decision) from experiments"
        )
    assert api.refresh()
    assert api.get(f"/experiments/{FIRST}").json()["decision"] is None
