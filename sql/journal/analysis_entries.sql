-- Purpose: the runs that wrote to analysis; each forms one journal entry.
-- Grain:   run_id
select distinct run_id as entry
from analysis;
