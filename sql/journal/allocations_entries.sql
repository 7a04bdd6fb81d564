-- Purpose: the times at which allocations were computed; the rows of one time were committed
--          together and form one journal entry.
-- Grain:   computed_at
select distinct computed_at as entry
from allocations;
