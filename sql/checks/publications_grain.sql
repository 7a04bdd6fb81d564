-- Purpose: rows of publications that share a grain; there must be none.
-- Parameters: :start_date first day, :end_date day after the last
select
    as_of_date as day,
    cast(count(*) as varchar) || ' rows for ' || experiment_id || ' ' || cast(published_at as varchar) || '; `mab rebuild` keeps the first' as detail
from publications
where
    as_of_date >= cast(:start_date as date)
    and as_of_date < cast(:end_date as date)
group by as_of_date, experiment_id, published_at
having count(*) > 1;
