-- Purpose: the newest publication of each experiment, and the newest one that was live.
-- Grain:   experiment_id, as_of_date (at most two rows per experiment)
-- Inputs:  publications
with ranked as (
    select
        experiment_id,
        as_of_date,
        buckets,
        was_live,
        row_number() over (
            partition by experiment_id
            order by as_of_date desc nulls last, published_at desc nulls last
        ) as recency,
        row_number() over (
            partition by experiment_id, was_live
            order by as_of_date desc nulls last, published_at desc nulls last
        ) as recency_by_liveness
    from publications
)

select
    experiment_id,
    as_of_date,
    buckets,
    was_live,
    recency = 1 as is_newest
from ranked
where recency = 1 or (was_live and recency_by_liveness = 1)
order by experiment_id, as_of_date, is_newest;
