-- Purpose: the accepted counts of the experiments that a run published or held back, of all days up
--          to the last, from a first day on.
-- Grain:   experiment_id, metric_date, variant_name
-- Inputs:  publications, publication_holds, daily_metrics
-- Parameters: :run_id, :start_date first day, :end_date day after the last
with judged as (
    select experiment_id
    from publications
    where run_id = :run_id
    union
    select experiment_id
    from publication_holds
    where run_id = :run_id
),

first_days as (
    select
        daily_metrics.experiment_id,
        min(daily_metrics.metric_date) as first_date
    from daily_metrics
    inner join judged on daily_metrics.experiment_id = judged.experiment_id
    where
        daily_metrics.metric_date < cast(:end_date as date)
        and daily_metrics.impressions > 0
    group by daily_metrics.experiment_id
)

select
    daily_metrics.experiment_id,
    daily_metrics.metric_date,
    daily_metrics.variant_name,
    daily_metrics.impressions,
    daily_metrics.clicks,
    first_days.first_date
from daily_metrics
inner join first_days on daily_metrics.experiment_id = first_days.experiment_id
where
    daily_metrics.metric_date >= cast(:start_date as date)
    and daily_metrics.metric_date < cast(:end_date as date)
    and daily_metrics.impressions > 0
order by daily_metrics.experiment_id, daily_metrics.metric_date, daily_metrics.variant_name;
