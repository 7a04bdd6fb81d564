-- Purpose: the as-of days that already have windows or decisions, so must follow late changes.
-- Grain:   as_of_date
-- Inputs:  windowed_aggregates, allocations
-- Parameters: :start_date first as-of day
select as_of_date
from windowed_aggregates
where as_of_date >= cast(:start_date as date)
union
select as_of_date
from allocations
where as_of_date >= cast(:start_date as date)
order by as_of_date;
