-- Purpose: how many variants use each window on some days.
-- Inputs:  windowed_aggregates
-- Parameters: :start_date first as-of day, :end_date day after the last
select
    data_source,
    count(*) as row_count
from windowed_aggregates
where
    as_of_date >= cast(:start_date as date)
    and as_of_date < cast(:end_date as date)
group by data_source;
