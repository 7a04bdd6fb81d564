-- Purpose: the ledger's rows for files that belong to no day (experiment events, misplaced files).
-- Grain:   source_file
-- Inputs:  inbox_files
-- Parameters: :prefix pattern of the names, such as 'experiments/%'
select
    source_file,
    metric_date,
    size_bytes,
    sha256,
    received_at,
    row_count,
    error,
    loaded_at,
    false as has_rows
from inbox_files
where metric_date is null and source_file like :prefix
order by source_file;
