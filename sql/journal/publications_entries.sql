-- Purpose: the runs that wrote to publications; each forms one journal entry.
-- Grain:   run_id
select distinct run_id as entry
from publications;
