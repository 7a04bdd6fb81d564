-- Purpose: for each experiment and day the last day up to it with data: an accepted row that has
--          impressions. A feed of zeros is a dead feed.
-- Grain:   as_of_date, experiment_id
-- Inputs:  windowed_aggregates, daily_metrics
-- Parameters: :start_date first as-of day, :end_date day after the last
with asked as (
    select distinct
        as_of_date,
        experiment_id
    from windowed_aggregates
    where
        as_of_date >= cast(:start_date as date)
        and as_of_date < cast(:end_date as date)
),

-- Up to the first as-of day only the last day counts. All but a few experiments have it in the last
-- 30 days: for the others alone the days before are read.
recent as (
    select
        experiment_id,
        max(metric_date) as data_date
    from daily_metrics
    where
        metric_date > cast(:start_date as date) - 30
        and metric_date <= cast(:start_date as date)
        and impressions > 0
    group by experiment_id
),

silent as (
    select distinct asked.experiment_id
    from asked
    left join recent on asked.experiment_id = recent.experiment_id
    where recent.experiment_id is null
),

events as (
    select
        experiment_id,
        as_of_date as event_date,
        cast(null as date) as data_date
    from asked
    union all
    select
        experiment_id,
        data_date as event_date,
        data_date
    from recent
    union all
    select
        experiment_id,
        max(metric_date) as event_date,
        max(metric_date) as data_date
    from daily_metrics
    where
        metric_date <= cast(:start_date as date) - 30
        and impressions > 0
        and experiment_id in (select experiment_id from silent)
    group by experiment_id
    union all
    select distinct
        experiment_id,
        metric_date as event_date,
        metric_date as data_date
    from daily_metrics
    where
        metric_date > cast(:start_date as date)
        and metric_date < cast(:end_date as date)
        and impressions > 0
),

running as (
    select
        experiment_id,
        event_date,
        max(data_date) over (
            partition by experiment_id
            order by event_date
            range between unbounded preceding and current row
        ) as data_through
    from events
)

select distinct
    asked.as_of_date,
    asked.experiment_id,
    running.data_through
from asked
inner join running
    on
        asked.experiment_id = running.experiment_id
        and asked.as_of_date = running.event_date;
