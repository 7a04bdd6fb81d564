"""One World from publication to API, explanation and rebuild; and a split that is not applied."""

import json
import math
from datetime import date

import duckdb
import pytest
from starlette.testclient import TestClient

from mab_api.analysis_schemas import Analysis
from mab_api.app import create_app
from mab_api.snapshot.loader import published_parts
from mab_pipeline.alerts.conditions import notices_of_run
from mab_pipeline.allocation import compared as figures
from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.operations.explain import explain
from mab_pipeline.operations.text import Grid
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.experiments.schemas import experiment_id_of
from mab_store.warehouse.reader import open_reader
from mab_store.warehouse.warehouse import rolled_back

FIRST, BEFORE, LAST = "2025-03-01", "2025-03-14", "2025-03-15"
CHECKOUT = experiment_id_of("checkout")


def analyses(world) -> dict[tuple[str, str], dict]:
    """Return the stored analyses by day and experiment id."""
    rows = world.table("analysis", volatile=True)
    return {(str(row["as_of_date"]), row["experiment_id"]): row for row in rows}


@pytest.fixture(scope="module")
def world(make_world):
    """Fourteen days in one range; then a live day whose split nobody applied, and a dead feed."""
    world = make_world(
        now="2025-03-15T02:00:00", max_data_gap_days=1, exploration=0.1, allocation_method="exact"
    )
    world.register("checkout")
    world.register("fading")
    world.register("alone")
    world.change("alone", "2025-03-13T10:00:00Z", retire_variants=["variant_a"])
    for day in range(1, 15):
        # Clicks vary a little from day to day, else no chance could be at work.
        rows = [("checkout", "control", 5000, 250), ("checkout", "variant_a", 5000, 300 + day)]
        rows += [("fading", name, 100, 5 + day % 2) for name in ("control", "variant_a")]
        world.metrics(f"2025-03-{day:02}", *rows)
    world.first = world.run(FIRST, BEFORE)
    world.kept = analyses(world)
    world.clock.set("2025-03-16T02:00:00")
    world.metrics(LAST, ("checkout", "control", 5000, 250), ("checkout", "variant_a", 5000, 310))
    world.second = world.run(LAST)
    return world


def answer_of(world, path: str):
    """Ask an API in this process, which keeps the copy open: read it in another way before."""
    app = create_app(
        world.settings,
        clock=world.clock,
        is_dev=True,
        read=lambda order, _stopping: published_parts(order),
    )
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        client.app.state.serving.refresher.poll()
        return client.get(path)


def words(world, experiment: str) -> str:
    """Return the explanation as text."""
    with open_reader(world.settings) as copy:
        parts = explain(copy, find_record(copy, experiment, None))
    return "\n".join(
        " ".join(cell for row in part.rows for cell in row) if isinstance(part, Grid) else part.text
        for part in parts
    )


def test_a_run_of_many_days_analyses_the_newest_decision_of_each_experiment(world):
    assert {day for day, _ in world.kept} == {BEFORE}
    assert len(world.kept) == 3
    row = world.kept[BEFORE, CHECKOUT]
    assert row["is_published"]
    assert row["advice"] == "winner"
    analysis = json.loads(row["analysis"])
    assert analysis["advice"]["variant_name"] == "variant_a"
    assert analysis["advice"]["error_rate"]
    assert analysis["sample_ratio"]["note"] == "no day with a live publication has traffic"
    assert analysis["days"] == 14


def test_a_split_that_is_not_applied_warns_in_check_alert_and_advice(world, evaluations):
    row = analyses(world)[LAST, CHECKOUT]
    assert row["sample_ratio_p_value"] < 0.001
    ratio = json.loads(row["analysis"])["sample_ratio"]
    assert (ratio["days"], ratio["observed"]) == (1, [5000.0, 5000.0])
    assert ratio["expected"] == [500.0, 9500.0]  # half of the exploration, all the rest
    assert row["advice"] == "data_problem"
    assert [f.experiment_id for f in world.find("publication", "traffic_follows_shares", LAST)] == [
        CHECKOUT
    ]
    (found,) = evaluations(world.second, "publication", "traffic_follows_shares").values()
    assert not found.passed
    assert found.severity.value == "WARN"
    run = world.instance.get_run_by_id(world.second.run_id)
    (notice,) = [n for n in notices_of_run(world.instance, run) if n.cause == "sample_ratio"]
    assert notice.experiments == (CHECKOUT,)
    assert "control has 5000 and was due 500" in notice.text
    assert world.published("checkout")[-1] == (LAST, True)  # nothing is held back


def test_the_first_day_is_kept_so_that_history_is_not_read_again(world):
    """Half a year later only the analyses tell when an experiment began."""
    assert {str(row["first_date"]) for row in analyses(world).values()} == {FIRST, "None"}
    late = {
        "run_id": world.second.run_id,
        "as_of_date": date(2025, 3, 15),
        "start_date": date(2025, 3, 10),
        "end_date": date(2025, 3, 16),
    }
    with rolled_back(world.platform.warehouse) as transaction:
        kept = transaction.fetch_arrow("assets/analysis_counts", late)
        connection = transaction._connection
        connection.execute("delete from daily_metrics where metric_date < '2025-03-10'")
        assert transaction.fetch_arrow("assets/analysis_counts", late) == kept
        connection.execute("update analysis set first_date = null")
        assert set(
            map(
                str,
                transaction.fetch_arrow("assets/analysis_counts", late)["first_date"].to_pylist(),
            )
        ) == {"2025-03-10"}
    with rolled_back(world.platform.warehouse) as transaction:
        transaction._connection.execute("update analysis set first_date = null")
        assert transaction.fetch_arrow("assets/analysis_counts", late) == kept
    assert set(map(str, kept["first_date"].to_pylist())) == {FIRST}


def test_what_was_held_back_is_a_data_problem(world):
    row = analyses(world)[LAST, experiment_id_of("fading")]
    assert not row["is_published"]
    assert row["advice"] == "data_problem"
    assert "no accepted impressions since 2025-03-14" in row["analysis"]


def test_rates_over_all_traffic_are_estimated_with_exploration(world):
    analysis = json.loads(analyses(world)[LAST, CHECKOUT]["analysis"])
    assert analysis["rate_note"] == ""
    control = analysis["variants"][0]["rate_over_all_traffic"]["estimate"]
    assert math.isclose(control, 250 / 0.05 / 10_000)


def test_publication_api_explanation_and_rebuild_show_the_same_bytes(world):
    stored = analyses(world)[LAST, CHECKOUT]
    explained = words(world, "checkout")
    path = f"/experiments/{CHECKOUT}/analysis"
    answer = answer_of(world, path)
    assert answer.status_code == 200
    Analysis.model_validate_json(answer.content)
    assert list(answer.json()) == list(Analysis.model_fields)
    served = answer.json()
    assert served["advice"].pop("messages")  # the API adds the codes of the sentences
    assert served["sample_ratio"].pop("messages") == []
    assert json.loads(stored["analysis"]).items() <= served.items()
    advice = json.loads(stored["analysis"])["advice"]
    assert f"Stop advice: data_problem. {advice['reason']}" in explained
    before = world.table("analysis", volatile=True)
    for file in world.home.glob("warehouse.duckdb*"):
        file.unlink()
    restored = rebuild(world.platform).restored
    assert restored["analysis"] == len(before) == 6
    assert world.table("analysis", volatile=True) == before
    assert words(world, "checkout") == explained
    assert answer_of(world, path).content == answer.content


def test_an_experiment_without_an_analysis_is_a_404_that_says_why(world):
    world.register("fresh", created="2025-03-16T01:00:00Z")
    answer = answer_of(world, f"/experiments/{experiment_id_of('fresh')}/analysis")
    assert answer.status_code == 404
    assert "its next publication brings one" in answer.json()["detail"]


def test_a_home_from_before_there_were_analyses_is_read_run_and_rebuilt(make_world):
    old = make_world(now="2025-03-15T02:00:00")
    old.register("checkout")
    old.metrics(BEFORE, ("checkout", "control", 500, 25), ("checkout", "variant_a", 500, 30))
    old.run(BEFORE)
    (copy,) = old.settings.published_dir.glob("*.duckdb")
    for path in (old.settings.warehouse_path, copy):
        with duckdb.connect(path) as connection:
            connection.execute("drop view served_analysis")
            connection.execute("drop table analysis")
    for path in (old.home / "journal" / "analysis").glob("*"):
        path.unlink()
    assert "Stop advice" not in words(old, "checkout")
    assert answer_of(old, f"/experiments/{CHECKOUT}/analysis").status_code == 404
    reopened = type(old)(old.home, clock=old.clock)
    reopened.clock.set("2025-03-16T02:00:00")
    reopened.metrics(LAST, ("checkout", "control", 250, 12), ("checkout", "variant_a", 750, 45))
    reopened.run(LAST)
    assert set(analyses(reopened)) == {(LAST, CHECKOUT)}
    assert "Stop advice: keep_running." in words(reopened, "checkout")
    before = reopened.table("analysis", volatile=True)
    rebuild(reopened.platform)
    assert reopened.table("analysis", volatile=True) == before


def test_one_variant_that_is_left_is_analysed_too(world):
    row = analyses(world)[LAST, experiment_id_of("alone")]
    assert row["advice"] == "keep_running"
    assert "There is one variant and nothing to compare." in row["analysis"]


def test_the_dear_comparisons_are_made_while_the_warehouse_is_free(make_world, monkeypatch):
    """They take ten seconds for ten thousand experiments; a writer waits for one minute."""
    world = make_world(now="2025-03-15T02:00:00")
    world.register("checkout")
    world.metrics(BEFORE, ("checkout", "control", 500, 5), ("checkout", "variant_a", 500, 9))
    compared = []

    def compare(alpha, beta, control):
        with world.platform.warehouse.transaction():  # would wait for a lock that is held
            compared.append(alpha.tolist())
        return comparison(alpha, beta, control)

    comparison = figures._compare
    monkeypatch.setattr(figures, "_compare", compare)
    world.run(BEFORE)
    assert compared == [[[6.0, 10.0]]]
    assert analyses(world)[BEFORE, CHECKOUT]["is_published"]
    world.run(BEFORE)
    assert len(compared) == 1, "a published decision is not compared again"
