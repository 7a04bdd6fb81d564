-- Purpose: the experiments that do not run today; their last publication stays.
-- Grain:   experiment_id
-- Inputs:  experiments
-- Parameters: :today the day
select experiment_id
from experiments
where
    status <> 'running'
    and valid_from_date <= cast(:today as date)
    and valid_to_date > cast(:today as date)
order by experiment_id;
