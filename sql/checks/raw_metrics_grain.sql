-- Purpose: rows of raw_metrics that share a grain; there must be none.
-- Parameters: :start_date first day, :end_date day after the last
select
    metric_date as day,
    cast(count(*) as varchar) || ' rows for ' || source_file || ' row ' || cast(row_number as varchar) as detail
from raw_metrics
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date)
group by metric_date, source_file, row_number
having count(*) > 1;
