-- Purpose: delete a day's files from the ledger and from raw_metrics, before they are loaded; what was
--          noted of its rows no longer holds.
-- Parameters: :metric_date the day
delete from inbox_files
where metric_date = cast(:metric_date as date);

delete from raw_metrics
where metric_date = cast(:metric_date as date);

delete from judged_days
where metric_date = cast(:metric_date as date);
