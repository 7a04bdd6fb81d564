-- Purpose: the ledger rows of one load, for their journal entry.
-- Inputs:  inbox_files
-- Parameters: :entry time of the load
select *
from inbox_files
where loaded_at = :entry;
