"""From windows to a published decision. No Dagster here."""
