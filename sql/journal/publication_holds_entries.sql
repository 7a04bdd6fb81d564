-- Purpose: the runs that wrote to publication_holds; each forms one journal entry.
-- Grain:   run_id
select distinct run_id as entry
from publication_holds;
