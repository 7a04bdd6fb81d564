-- Purpose: the newest time in any row; null if there is none yet.
-- Inputs:  inbox_files, allocations, publications, publication_holds
with stamps as (
    select max(loaded_at) as stamp
    from inbox_files
    union all
    select max(received_at) as stamp
    from inbox_files
    union all
    select max(computed_at) as stamp
    from allocations
    union all
    select max(published_at) as stamp
    from publications
    union all
    select max(held_at) as stamp
    from publication_holds
)

select max(stamp) as newest_stamp
from stamps;
