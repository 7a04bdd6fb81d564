-- Purpose: the registry's variants as the last run left them, to find changes.
-- Grain:   experiment_id, variant_name, valid_from_date
-- Inputs:  variants
select
    experiment_id,
    variant_name,
    valid_from_date,
    position,
    status
from variants
order by experiment_id, variant_name, valid_from_date;
