-- Purpose: the shares of the newest published day before the one that is served.
-- Grain:   experiment_id, variant_name
-- Inputs:  served_current_publications, served_allocations
select
    allocations.experiment_id,
    allocations.variant_name,
    allocations.effective_date,
    allocations.allocation_hundredths
from served_current_publications as newest
inner join served_allocations as allocations
    on
        newest.experiment_id = allocations.experiment_id
        and newest.previous_as_of_date = allocations.as_of_date
        and newest.previous_allocation_id = allocations.allocation_id
order by allocations.experiment_id, allocations.variant_name;
