-- Purpose: metrics files that wait until the other files of their day are back; a warning.
-- Note:    for every day: an archived day is not run again, and its late file would wait unseen.
select
    metric_date as day,
    source_file,
    source_file || ' ' || error as detail
from inbox_files
where error like 'waits: %' and metric_date is not null
order by metric_date, source_file;
