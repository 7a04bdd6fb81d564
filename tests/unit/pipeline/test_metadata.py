"""The tables, plots and texts of the asset pages."""

import pytest

from mab_pipeline.metadata import SERVED, SHOWN, served_table, shares_plot, shares_table, with_names

ROW = {
    "variant_name": "control",
    "impressions": 300,
    "clicks": 3,
    "data_source": "default_window",
    "share_percent": 12.5,
    "p_best": 0.125,
}


def test_the_table_names_experiments_and_falls_back_to_the_id():
    rows = [ROW | {"experiment_id": "exp_1"}, ROW | {"experiment_id": "exp_2"}]
    table = shares_table(rows, {"exp_1": "checkout"})
    assert [record.data["experiment"] for record in table.records] == ["checkout", "exp_2"]
    assert [column.name for column in table.schema.columns] == list(SHOWN)
    assert [column.type for column in table.schema.columns] == [
        *["string", "string", "float", "float", "int", "int", "string"]
    ]
    assert table.records[0].data["share_percent"] == 12.5


def test_an_empty_table_has_its_columns():
    assert [column.name for column in shares_table([], {}).schema.columns] == list(SHOWN)
    assert [column.name for column in served_table([]).schema.columns] == list(SERVED)


@pytest.mark.parametrize(
    ("status", "day", "reason", "state"),
    [
        ("running", "2025-03-19", None, "2025-03-19: newest"),
        ("running", "2025-03-19", "data_gap", "2025-03-19: held back, data_gap"),
        ("paused", "2025-03-19", None, "2025-03-19: frozen, paused"),
        ("finished", "2025-03-19", "data_gap", "2025-03-19: held back, data_gap"),
        ("running", None, "variant_gap", "nothing: held back, variant_gap"),
    ],
)
def test_the_state_of_an_experiment_says_whether_readers_get_its_newest_decision(
    status, day, reason, state
):
    row = {
        "experiment_name": "checkout",
        "status": status,
        "as_of_date": day,
        "held_back_reason": reason,
        "held_back_detail": reason and "no data",
        "variant_name": day and "control",
        "allocation_hundredths": day and 1250,
    }
    (record,) = served_table([row]).records
    assert record.data == {
        "experiment": "checkout",
        "variant": "control" if day else "",
        "share_percent": 12.5 if day else None,
        "served": state,
        "reason": "no data" if reason else "",
    }


def units(text):
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize("count", [1, 13, 14, 40, 100])
@pytest.mark.parametrize("name", ["b", "🙂" * 32, "x" * 200])
def test_a_plot_is_short_enough_for_the_ui_to_show_it_in_place(count, name):
    rows = [
        ROW | {"experiment_id": f"exp_{n // 3}", "variant_name": f"{name}{n}", "share_percent": 100}
        for n in range(count)
    ]
    text = shares_plot(rows, {"exp_0": "checkout"}).value
    assert units(text) < 1000
    lines = text.splitlines()
    assert (lines[0], lines[1], lines[-1]) == ("```text", "checkout:", "```")
    bars = [line for line in lines if "%" in line]
    assert all(line.endswith("█" * 16) for line in bars)
    left = [line for line in lines if line.startswith("… and ")]
    assert left == (
        [f"… and {count - len(bars)} more shares: see the table"] if len(bars) < count else []
    )
    if name == "b":
        assert len(bars) == min(count, len(bars)) >= min(count, 13)


def test_a_text_gets_the_names_of_the_experiments_that_are_known():
    text = "exp_0123456789ab: shares 3; exp_ba9876543210 control; exp_1"
    names = {"exp_0123456789ab": "checkout"}
    assert with_names(text, names) == "checkout: shares 3; exp_ba9876543210 control; exp_1"
