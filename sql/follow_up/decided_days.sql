-- Purpose: the days that were ever decided.
-- Grain:   as_of_date
-- Inputs:  allocations
select distinct as_of_date
from allocations
order by as_of_date;
