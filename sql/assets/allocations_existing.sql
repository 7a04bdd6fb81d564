-- Purpose: the existing decisions of some days; an identical one is not added again.
-- Inputs:  allocations
-- Parameters: :start_date first as-of day, :end_date day after the last
select
    as_of_date,
    experiment_id,
    variant_name,
    allocation_id,
    allocation_hundredths,
    probability_best,
    samples
from allocations
where
    as_of_date >= cast(:start_date as date)
    and as_of_date < cast(:end_date as date);
