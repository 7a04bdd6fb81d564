-- Purpose: make room for a day's files, in the ledger and in raw_metrics.
-- Parameters: :metric_date the day
delete from inbox_files
where metric_date = cast(:metric_date as date);

delete from raw_metrics
where metric_date = cast(:metric_date as date);
