-- Purpose: the newest decided day; a warning if it is older than expected.
select max(as_of_date) as newest_day
from allocations;
