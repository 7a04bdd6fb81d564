-- Purpose: which runs wrote to publications; each is one journal entry.
-- Grain:   run_id
select distinct run_id as entry
from publications;
