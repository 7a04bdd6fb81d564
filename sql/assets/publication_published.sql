-- Purpose: the allocation that was published last for each experiment and day.
-- Grain:   as_of_date, experiment_id
-- Inputs:  publications
-- Parameters: :start_date first as-of day, :end_date day after the last
select
    as_of_date,
    experiment_id,
    allocation_id
from publications
where
    as_of_date >= cast(:start_date as date)
    and as_of_date < cast(:end_date as date)
qualify row_number() over (
    partition by as_of_date, experiment_id
    order by published_at desc nulls last
) = 1;
