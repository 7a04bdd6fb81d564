"""The tables of the asset pages."""

from mab_pipeline.metadata import SHOWN, shares_table


def test_the_table_names_experiments_and_falls_back_to_the_id():
    row = {
        "variant_name": "control",
        "impressions": 300,
        "clicks": 3,
        "data_source": "default_window",
        "share_percent": 12.5,
        "probability_best": 0.125,
    }
    rows = [row | {"experiment_id": "exp_1"}, row | {"experiment_id": "exp_2"}]
    table = shares_table(rows, {"exp_1": "checkout"})
    assert [record.data["experiment"] for record in table.records] == ["checkout", "exp_2"]
    assert [column.name for column in table.schema.columns] == list(SHOWN)
    assert [column.type for column in table.schema.columns] == [
        *["string", "string", "int", "int", "string", "float", "float"]
    ]
    assert table.records[0].data["share_percent"] == 12.5
