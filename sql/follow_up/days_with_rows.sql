-- Purpose: the days with rows in raw_metrics; a pruned day has none and stays unchanged.
-- Grain:   metric_date
-- Inputs:  raw_metrics
-- Parameters: :start_date first day, :end_date day after the last
select distinct metric_date
from raw_metrics
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date)
order by metric_date;
