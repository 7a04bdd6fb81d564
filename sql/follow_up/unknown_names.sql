-- Purpose: the names in raw_metrics that no registration knows, and their days.
-- Grain:   metric_date, experiment
-- Inputs:  raw_metrics, experiments
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
    registered.known_name is null
    and raw_metrics.experiment is not null
order by raw_metrics.metric_date, raw_metrics.experiment;
