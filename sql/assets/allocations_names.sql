-- Purpose: the experiments' names, for people who look at the decisions.
-- Grain:   experiment_id
-- Inputs:  experiments
select distinct
    experiment_id,
    experiment_name
from experiments
order by experiment_id;
