-- Purpose: what one run wrote to allocations, for its journal entry.
-- Inputs:  allocations
-- Parameters: :entry run id
select *
from allocations
where run_id = :entry;
