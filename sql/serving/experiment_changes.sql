-- Purpose: the exceptions of an experiment on a day, or after it: paused, finished or resumed;
--          variants that are retired, or come later.
-- Grain:   variant_name (null: the experiment itself), valid_from_date
-- Inputs:  served_experiments, served_variants
-- Parameters: :experiment_id, :effective_date the day
with states as (
    select
        cast(null as varchar) as variant_name,
        -1 as position,
        status,
        valid_from_date,
        valid_to_date
    from served_experiments
    where experiment_id = :experiment_id
    union all
    select
        variant_name,
        position,
        status,
        valid_from_date,
        valid_to_date
    from served_variants
    where experiment_id = :experiment_id
)

select
    variant_name,
    status,
    valid_from_date
from states
where
    valid_to_date > cast(:effective_date as date)
    and (
        valid_from_date > cast(:effective_date as date)
        or status in ('paused', 'finished', 'retired')
    )
order by position, valid_from_date;
