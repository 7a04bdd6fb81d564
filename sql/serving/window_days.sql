-- Purpose: the accepted counts of an experiment in a window, with their files.
-- Grain:   metric_date, variant_name
-- Inputs:  served_metrics
-- Parameters: :experiment_id, :start_date first day, :end_date day after the last
select
    metric_date,
    variant_name,
    impressions,
    clicks,
    source_file,
    received_at
from served_metrics
where
    experiment_id = :experiment_id
    and metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date)
order by metric_date, variant_name;
