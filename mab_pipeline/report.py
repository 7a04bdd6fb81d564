"""Pictures and tables of shares for a person who looks at the asset in the Dagster UI.

What belongs here: Dagster metadata values made from rows of `allocations`. What does not:
numbers that anything depends on.
"""

import base64
import io

import dagster as dg
import pyarrow as pa
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

EXPERIMENTS_SHOWN = 20
ROWS_SHOWN = 100


def shares_table(rows: pa.Table) -> dg.MetadataValue[dg.TableMetadataValue]:
    """Return the first rows of one day's shares as a table."""
    columns = ["experiment_id", "variant_name", "impressions", "clicks", "data_source"]
    records = [
        dg.TableRecord(
            {name: row[name] for name in columns}
            | {
                "share_percent": row["allocation_hundredths"] / 100,
                "probability_best": round(row["probability_best"], 6),
            }
        )
        for row in rows.slice(0, ROWS_SHOWN).to_pylist()
    ]
    kinds = {"impressions": "int", "clicks": "int", "share_percent": "float"}
    names = [*columns, "share_percent", "probability_best"]
    schema = dg.TableSchema(
        columns=[
            dg.TableColumn(
                name, "float" if name == "probability_best" else kinds.get(name, "string")
            )
            for name in names
        ]
    )
    return dg.MetadataValue.table(records=records, schema=schema)


def shares_plot(rows: pa.Table) -> dg.MarkdownMetadataValue:
    """Return a bar of the shares of each of one day's first experiments."""
    shares: dict[str, list[tuple[str, float]]] = {}
    for row in rows.select(["experiment_id", "variant_name", "allocation_hundredths"]).to_pylist():
        pairs = shares.setdefault(row["experiment_id"], [])
        pairs.append((row["variant_name"], row["allocation_hundredths"] / 100))
    shown = list(shares.items())[:EXPERIMENTS_SHOWN]
    figure = Figure(figsize=(8, 0.9 + 0.32 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, (_, pairs) in enumerate(shown):
        left = 0.0
        for index, (name, percent) in enumerate(pairs):
            axes.barh(place, percent, left=left, color=f"C{index % 10}", edgecolor="white")
            if percent >= 12:
                label = f"{name} {percent:.0f} %"
                axes.text(left + percent / 2, place, label, ha="center", va="center", fontsize=7)
            left += percent
    axes.set_yticks(range(len(shown)), [experiment_id for experiment_id, _ in shown], fontsize=7)
    axes.set(xlim=(0, 100), xlabel="share of traffic [%]")
    axes.invert_yaxis()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    picture = base64.b64encode(buffer.getvalue()).decode()
    return dg.MetadataValue.md(f"![shares](data:image/png;base64,{picture})")
