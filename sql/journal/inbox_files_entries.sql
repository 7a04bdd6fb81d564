-- Purpose: the times at which files were loaded; the files of one time form one journal entry.
-- Grain:   loaded_at
select distinct loaded_at as entry
from inbox_files;
