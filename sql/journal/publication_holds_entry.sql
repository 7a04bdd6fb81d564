-- Purpose: the rows that one run wrote to publication_holds, for its journal entry.
-- Inputs:  publication_holds
-- Parameters: :entry run id
select *
from publication_holds
where run_id = :entry;
