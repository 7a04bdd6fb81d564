-- Purpose: the newest day that was published; null where nothing was.
-- Inputs:  publications
select max(as_of_date) as newest_day
from publications;
