-- Purpose: the moments at which allocations were computed; the rows of one moment were committed
--          together and are one journal entry.
-- Grain:   computed_at
select distinct computed_at as entry
from allocations;
