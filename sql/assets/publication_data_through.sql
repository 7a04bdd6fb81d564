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

events as (
    select
        experiment_id,
        as_of_date as event_date,
        cast(null as date) as data_date
    from asked
    union all
    select distinct
        experiment_id,
        metric_date as event_date,
        metric_date as data_date
    from daily_metrics
    where
        metric_date < cast(:end_date as date)
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
