-- Purpose: the registry's experiments as the last run left them, to find changes.
-- Grain:   experiment_id, valid_from_date
-- Inputs:  experiments
select
    experiment_id,
    valid_from_date,
    experiment_name,
    status,
    start_date,
    created_at
from experiments
order by experiment_id, valid_from_date;
