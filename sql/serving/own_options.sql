-- Purpose: the options of the rule that experiments have of their own on a day.
-- Grain:   experiment_id
-- Inputs:  served_experiments
-- Parameters: :today the day
select
    experiment_id,
    decision
from served_experiments
where
    decision is not null
    and valid_from_date <= cast(:today as date)
    and valid_to_date > cast(:today as date)
order by experiment_id;
