-- Purpose: rows of experiments or variants that share a grain; there must be none.
select
    cast(null as date) as day,
    cast(count(*) as varchar) || ' rows for ' || experiment_id as detail
from experiments
group by experiment_id, valid_from_date
having count(*) > 1
union all
select
    cast(null as date) as day,
    cast(count(*) as varchar) || ' rows for ' || experiment_id || ' ' || variant_name as detail
from variants
group by experiment_id, variant_name, valid_from_date
having count(*) > 1;
