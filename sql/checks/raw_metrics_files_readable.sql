-- Purpose: metrics files that could not be used; a warning while they exist.
-- Parameters: :start_date first day, :end_date day after the last
select
    metric_date as day,
    source_file,
    source_file || ' ' || error as detail
from inbox_files
where
    error is not null
    and error not like 'waits: %'
    and source_file like 'metrics/%'
    and (
        metric_date is null
        or (metric_date >= cast(:start_date as date) and metric_date < cast(:end_date as date))
    );
