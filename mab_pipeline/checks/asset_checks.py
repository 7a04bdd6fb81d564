"""How the checks of an asset are declared, and the two that every asset has."""

from collections.abc import Sequence
from dataclasses import dataclass

from mab_pipeline.checks.finders import Find, sql_check, wrong_columns

COLUMNS = "columns_as_declared"


@dataclass(frozen=True, slots=True)
class Check:
    """A check of one asset.

    Attributes:
        name: Its name in the UI.
        description: The condition that must hold.
        find: Returns every violation of it.
        blocking: Whether a failure stops the assets downstream.
        is_warning: Whether a failure is a warning.
    """

    name: str
    description: str
    find: Find
    blocking: bool = False
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class AssetChecks:
    """All checks of an asset; `definitions.py` finds it by its type.

    Attributes:
        asset: The asset's name.
        tables: The tables that it maintains, its main table first.
        own: The checks that this asset alone has.
    """

    asset: str
    tables: tuple[str, ...]
    own: tuple[Check, ...]

    @property
    def checks(self) -> Sequence[Check]:
        """The checks that every asset has, then its own."""
        grain = Check(
            "grain_is_unique",
            "No two rows share the declared grain.",
            sql_check(f"{self.tables[0]}_grain"),
            blocking=True,
        )
        columns = Check(
            COLUMNS,
            "Columns and types are those of sql/schema/02_create_tables.sql.",
            wrong_columns(*self.tables),
            blocking=True,
        )
        return grain, columns, *self.own
