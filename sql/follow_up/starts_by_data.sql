-- Purpose: the experiments that may owe their start to their data, with the first day of data:
--          those without a start date that were registered after some day.
-- Grain:   experiment_id
-- Inputs:  daily_metrics, experiments
-- Parameters: :start_date the day
select
    experiments.experiment_id,
    cast(max(experiments.created_at) as date) as created_date,
    min(daily_metrics.metric_date) as first_metric_date
from experiments
inner join daily_metrics on experiments.experiment_id = daily_metrics.experiment_id
where
    experiments.start_date is null
    and cast(experiments.created_at as date) > cast(:start_date as date)
group by experiments.experiment_id
order by experiments.experiment_id;
