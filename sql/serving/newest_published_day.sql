-- Purpose: the newest published day; null if there is none.
-- Inputs:  publications
select max(as_of_date) as newest_day
from publications;
