-- Purpose: the rows that one run wrote to analysis, for its journal entry.
-- Inputs:  analysis
-- Parameters: :entry run id
select *
from analysis
where run_id = :entry;
