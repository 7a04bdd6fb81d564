-- Purpose: the old decisions, with the approximate bytes of text of each.
-- Grain:   as_of_date, allocation_id
-- Inputs:  allocations
-- Parameters: :cutoff_date first day that stays
select
    as_of_date,
    allocation_id,
    count(*) as item_count,
    cast(sum(length(variant_name) + length(settings)) as bigint) as size_bytes
from allocations
where as_of_date < cast(:cutoff_date as date)
group by as_of_date, allocation_id
order by as_of_date, allocation_id;
