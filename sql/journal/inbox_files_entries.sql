-- Purpose: the moments at which files were loaded; the files of one moment are one journal entry.
-- Grain:   loaded_at
select distinct loaded_at as entry
from inbox_files;
