-- Purpose: find an experiment by id or name.
-- Inputs:  experiments
-- Parameters: :experiment id or name
select distinct
    experiment_id,
    experiment_name
from experiments
where experiment_id = :experiment or experiment_name = :experiment
order by experiment_id;
