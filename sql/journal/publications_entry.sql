-- Purpose: the rows that one run wrote to publications, for its journal entry.
-- Inputs:  publications
-- Parameters: :entry run id
select *
from publications
where run_id = :entry;
