-- Purpose: which runs wrote to allocations; each is one journal entry.
-- Grain:   run_id
select distinct run_id as entry
from allocations;
