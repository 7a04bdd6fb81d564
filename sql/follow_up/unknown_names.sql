-- Purpose: the names in raw_metrics of some days that no registration knows.
-- Grain:   metric_date, experiment
-- Inputs:  raw_metrics, experiments
-- Parameters: :start_date first day, :end_date day after the last
with registered as (
    select experiment_id as known_name
    from experiments
    union
    select experiment_name as known_name
    from experiments
)

select distinct
    raw_metrics.metric_date,
    raw_metrics.experiment
from raw_metrics
left join registered on raw_metrics.experiment = registered.known_name
where
    raw_metrics.metric_date >= cast(:start_date as date)
    and raw_metrics.metric_date < cast(:end_date as date)
    and registered.known_name is null
    and raw_metrics.experiment is not null
order by raw_metrics.metric_date, raw_metrics.experiment;
