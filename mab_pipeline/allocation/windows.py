"""Windows: the sums over each variant's days that decisions rest on; the rule is in the SQL."""

from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_store.days import Days
from mab_store.warehouse.warehouse import Transaction


def compute_windows(transaction: Transaction, rule: RuleSettings, days: Days) -> None:
    """Compute `windowed_aggregates` of these as-of days from daily_metrics and the registry.

    Args:
        transaction: The open transaction.
        rule: Says how long the windows are.
        days: The as-of days; a long range takes several statements.
    """
    for part in days.parts():
        transaction.execute("assets/windowed_aggregates", part.parameters | rule.window_parameters)
