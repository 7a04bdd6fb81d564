-- Purpose: the newest day that was decided; a warning where it is older than it should be.
select max(as_of_date) as newest_day
from allocations;
