-- Purpose: the experiment and day of an allocation, whether or not it is still served.
-- Grain:   experiment_id, as_of_date
-- Inputs:  allocations
-- Parameters: :allocation_id
select distinct
    experiment_id,
    as_of_date
from allocations
where allocation_id = :allocation_id;
