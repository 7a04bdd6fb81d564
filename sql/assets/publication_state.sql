-- Purpose: the newest publication of each experiment with windows on some days, and the newest one that
--          was live.
-- Grain:   experiment_id, as_of_date (at most two rows per experiment)
-- Inputs:  windowed_aggregates, publications
-- Parameters: :start_date first as-of day, :end_date day after the last
with asked as (
    select distinct experiment_id
    from windowed_aggregates
    where
        as_of_date >= cast(:start_date as date)
        and as_of_date < cast(:end_date as date)
),

-- Most experiments were live in the last 30 days, so their newest publication is there too: for the
-- others alone the days before are read.
recent as (
    select
        experiment_id,
        was_live,
        max(as_of_date) as as_of_date
    from publications
    where as_of_date > cast(:start_date as date) - 30
    group by experiment_id, was_live
),

not_live as (
    select asked.experiment_id
    from asked
    left join recent
        on
            asked.experiment_id = recent.experiment_id
            and recent.was_live
    where recent.experiment_id is null
),

days as (
    select
        recent.experiment_id,
        recent.was_live,
        recent.as_of_date
    from recent
    inner join asked on recent.experiment_id = asked.experiment_id
    union all
    select
        experiment_id,
        was_live,
        max(as_of_date) as as_of_date
    from publications
    where
        as_of_date <= cast(:start_date as date) - 30
        and experiment_id in (select experiment_id from not_live)
    group by experiment_id, was_live
),

last_days as (
    select
        experiment_id,
        was_live,
        max(as_of_date) as as_of_date
    from days
    group by experiment_id, was_live
),

-- At most one row that was live, and one that was not.
candidates as (
    select
        publications.experiment_id,
        publications.as_of_date,
        publications.published_at,
        publications.buckets,
        publications.was_live
    from publications
    inner join last_days
        on
            publications.experiment_id = last_days.experiment_id
            and publications.as_of_date = last_days.as_of_date
            and publications.was_live = last_days.was_live
    qualify row_number() over (
        partition by publications.experiment_id, publications.was_live
        order by publications.published_at desc nulls last
    ) = 1
),

ranked as (
    select
        experiment_id,
        as_of_date,
        buckets,
        was_live,
        row_number() over (
            partition by experiment_id
            order by as_of_date desc nulls last, published_at desc nulls last
        ) = 1 as is_newest
    from candidates
)

select
    experiment_id,
    as_of_date,
    buckets,
    was_live,
    is_newest
from ranked
where is_newest or was_live
order by experiment_id, as_of_date, is_newest;
