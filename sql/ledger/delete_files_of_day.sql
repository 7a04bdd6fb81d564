-- Purpose: make room for a day's files in the ledger alone; raw_metrics keeps what it holds.
-- Parameters: :metric_date the day
delete from inbox_files
where metric_date = cast(:metric_date as date);
