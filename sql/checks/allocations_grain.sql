-- Purpose: rows of allocations that share a grain; there must be none.
-- Parameters: :start_date first day, :end_date day after the last
select
    as_of_date as day,
    cast(count(*) as varchar) || ' rows for ' || experiment_id || ' ' || variant_name || ' ' || allocation_id || '; `mab rebuild` keeps the first' as detail
from allocations
where
    as_of_date >= cast(:start_date as date)
    and as_of_date < cast(:end_date as date)
group by as_of_date, experiment_id, variant_name, allocation_id
having count(*) > 1;
