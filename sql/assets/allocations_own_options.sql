-- Purpose: the options of the rule that experiments have of their own.
-- Grain:   experiment_id, valid_from_date
-- Inputs:  experiments
-- Parameters: :start_date first as-of day, :end_date day after the last
select
    experiment_id,
    valid_from_date,
    valid_to_date,
    decision
from experiments
where
    decision is not null
    and valid_from_date <= cast(:end_date as date)
    and valid_to_date > cast(:start_date as date) + 1
order by experiment_id, valid_from_date;
