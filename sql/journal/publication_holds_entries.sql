-- Purpose: which runs wrote to publication_holds; each is one journal entry.
-- Grain:   run_id
select distinct run_id as entry
from publication_holds;
