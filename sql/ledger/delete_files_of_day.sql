-- Purpose: delete a day's files from the ledger before they are loaded; raw_metrics keeps its rows.
-- Parameters: :metric_date the day
delete from inbox_files
where metric_date = cast(:metric_date as date);
