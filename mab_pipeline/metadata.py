"""Dagster metadata of the day's decisions: a table and a plot for people on the asset's page."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from mab_pipeline.allocation.gate import CurrentAllocations
from mab_store.plain_text import plain

COLUMNS = ("experiment_id", "variant_name", "impressions", "clicks", "data_source")
SHOWN = ("experiment", *COLUMNS[1:], "share_percent", "probability_best")
EXPERIMENTS_SHOWN = 20
ROWS_SHOWN = 100
NAME_WIDTH = 32
BAR_WIDTH = 32
EIGHTHS = " ▏▎▍▌▋▊▉"


def first_shares(current: CurrentAllocations) -> list[dict[str, Any]]:
    """Return the first shares of one day, each with its evidence."""
    decisions = current.decisions
    shown: list[dict[str, Any]] = []
    for index, (_, _, shares) in enumerate(current):
        if len(shown) >= ROWS_SHOWN:
            break
        for row, name in enumerate(decisions.variants(index), int(decisions.first_rows[index])):
            if share := shares.get(name):
                result = {
                    "share_percent": share.hundredths / 100,
                    "probability_best": round(share.probability_best, 6),
                }
                inputs = {column: decisions.inputs[column][row] for column in COLUMNS}
                shown.append(inputs | result)
    return shown[:ROWS_SHOWN]


def shares_table(
    rows: list[dict[str, Any]], names: Mapping[str, str]
) -> dg.MetadataValue[dg.TableMetadataValue]:
    """Return the first rows of one day's shares as a table.

    Args:
        rows: The first shares.
        names: The experiments' names by id.
    """
    kinds = {"impressions": "int", "clicks": "int"}
    kinds |= dict.fromkeys(("share_percent", "probability_best"), "float")
    records = []
    for row in rows:
        experiment_id = row["experiment_id"]
        named = row | {"experiment": names.get(experiment_id, experiment_id)}
        records.append(dg.TableRecord({column: named[column] for column in SHOWN}))
    columns = [dg.TableColumn(column, kinds.get(column, "string")) for column in SHOWN]
    return dg.MetadataValue.table(records=records, schema=dg.TableSchema(columns=columns))


def shares_plot(rows: list[dict[str, Any]], names: Mapping[str, str]) -> dg.MarkdownMetadataValue:
    """Return a bar for each share of one day's first experiments, as preformatted text.

    Args:
        rows: The first shares.
        names: The experiments' names by id.
    """
    lines: list[str] = []
    shown: list[str] = []
    for row in rows:
        experiment_id = row["experiment_id"]
        if experiment_id not in shown:
            if len(shown) == EXPERIMENTS_SHOWN:
                break
            shown.append(experiment_id)
            # A name alone on a line could end the code block: the colon prevents that.
            lines += ["", f"{plain(names.get(experiment_id, experiment_id))}:"]
        percent = row["share_percent"]
        lines.append(f"  {_fitted(row['variant_name'])} {percent:6.2f} % {_bar(percent)}")
    return dg.MetadataValue.md("\n".join(["```text", *lines[1:], "```"]))


def _fitted(name: str) -> str:
    text = plain(name)
    return f"{text[: NAME_WIDTH - 1]}…" if len(text) > NAME_WIDTH else text.ljust(NAME_WIDTH)


def _bar(percent: float) -> str:
    whole, eighths = divmod(round(percent / 100 * BAR_WIDTH * 8), 8)
    return ("█" * whole + EIGHTHS[eighths]).rstrip()
