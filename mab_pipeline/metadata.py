"""Pictures and tables of shares for a person who looks at the asset in the Dagster UI.

What belongs here: Dagster metadata values made from the day's decisions. What does not:
numbers that anything depends on.
"""

import base64
import io
from typing import Any

import dagster as dg
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mab_pipeline.allocation.gate import CurrentAllocations
from mab_store.plain_text import plain

COLUMNS = ("experiment_id", "variant_name", "impressions", "clicks", "data_source")
EXPERIMENTS_SHOWN = 20
ROWS_SHOWN = 100


def first_shares(current: CurrentAllocations) -> list[dict[str, Any]]:
    """Return the first shares of one day, with what each was decided from."""
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


def shares_table(rows: list[dict[str, Any]]) -> dg.MetadataValue[dg.TableMetadataValue]:
    """Return the first rows of one day's shares as a table."""
    records = [dg.TableRecord(row) for row in rows]
    kinds = {"impressions": "int", "clicks": "int", "share_percent": "float"}
    names = [*COLUMNS, "share_percent", "probability_best"]
    schema = dg.TableSchema(
        columns=[
            dg.TableColumn(
                name, "float" if name == "probability_best" else kinds.get(name, "string")
            )
            for name in names
        ]
    )
    return dg.MetadataValue.table(records=records, schema=schema)


def shares_plot(rows: list[dict[str, Any]]) -> dg.MarkdownMetadataValue:
    """Return a bar of the shares of each of one day's first experiments."""
    shares: dict[str, list[tuple[str, float]]] = {}
    for row in rows:
        pairs = shares.setdefault(row["experiment_id"], [])
        pairs.append((row["variant_name"], row["share_percent"]))
    shown = list(shares.items())[:EXPERIMENTS_SHOWN]
    figure = Figure(figsize=(8, 0.9 + 0.32 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, (_, pairs) in enumerate(shown):
        left = 0.0
        for index, (name, percent) in enumerate(pairs):
            axes.barh(place, percent, left=left, color=f"C{index % 10}", edgecolor="white")
            if percent >= 12:
                axes.text(
                    left + percent / 2,
                    place,
                    f"{plain(name)} {percent:.0f} %",
                    ha="center",
                    va="center",
                    fontsize=7,
                    parse_math=False,  # a name may hold dollar signs
                )
            left += percent
    axes.set_yticks(range(len(shown)), [experiment_id for experiment_id, _ in shown], fontsize=7)
    axes.set(xlim=(0, 100), xlabel="share of traffic [%]")
    axes.invert_yaxis()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    picture = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![shares](data:image/png;base64,{picture})")
