-- Purpose: event files that could not be used; a warning while they exist.
select
    cast(null as date) as day,
    source_file,
    source_file || ' ' || error as detail
from inbox_files
where
    metric_date is null
    and error is not null
    and source_file like 'experiments/%';
