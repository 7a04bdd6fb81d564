-- Purpose: how many decisions the journaled tables hold more than once; there must be none.
-- Inputs:  allocations, publications, publication_holds, analysis
with doubled as (
    select count(*) as item_count
    from allocations
    group by as_of_date, experiment_id, variant_name, allocation_id
    having count(*) > 1
    union all
    select count(*) as item_count
    from publications
    group by as_of_date, experiment_id, published_at
    having count(*) > 1
    union all
    select count(*) as item_count
    from publication_holds
    group by as_of_date, experiment_id, held_at, reason
    having count(*) > 1
    union all
    select count(*) as item_count
    from analysis
    group by as_of_date, experiment_id, analysed_at
    having count(*) > 1
)

select count(*) as doubled_count
from doubled;
