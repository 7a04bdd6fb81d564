-- Purpose: the identity of each row of publication_holds, to find the journaled rows that it lacks.
-- Grain:   as_of_date, experiment_id, held_at, reason
-- Inputs:  publication_holds
-- Parameters: :start_date first as-of day, :end_date day after the last
select
    as_of_date,
    experiment_id,
    held_at,
    reason
from publication_holds
where
    as_of_date >= cast(:start_date as date)
    and as_of_date < cast(:end_date as date);
