-- Purpose: the identity of each row of analysis, to find the journaled rows that it lacks.
-- Grain:   as_of_date, experiment_id, analysed_at
-- Inputs:  analysis
-- Parameters: :start_date first as-of day, :end_date day after the last
select
    as_of_date,
    experiment_id,
    analysed_at
from analysis
where
    as_of_date >= cast(:start_date as date)
    and as_of_date < cast(:end_date as date);
