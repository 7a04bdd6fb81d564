-- Purpose: the newest analysis of an experiment, or that of one allocation.
-- Grain:   experiment_id
-- Inputs:  served_analysis
-- Parameters: :experiment_id, :allocation_id or null
select
    as_of_date,
    experiment_id,
    analysed_at,
    allocation_id,
    is_published,
    analysis
from served_analysis
where
    experiment_id = :experiment_id
    and allocation_id = coalesce(cast(:allocation_id as varchar), allocation_id)
qualify row_number() over (
    partition by experiment_id
    order by as_of_date desc nulls last, analysed_at desc nulls last
) = 1;
