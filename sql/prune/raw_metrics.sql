-- Purpose: drop the audit rows of days before the cutoff; daily_metrics and the ledger keep theirs.
-- Parameters: :cutoff_date first day that stays
delete from raw_metrics
where metric_date < cast(:cutoff_date as date);
