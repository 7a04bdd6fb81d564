-- Purpose: forget that some days were judged: the new registry may give their rows another verdict.
-- Parameters: :start_date first day, :end_date day after the last
delete from judged_days
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date);
