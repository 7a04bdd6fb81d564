-- Purpose: the allocations that were computed at one time, for their journal entry.
-- Inputs:  allocations
-- Parameters: :entry time of the computation
select *
from allocations
where computed_at = :entry;
