-- Purpose: the gate's earlier holds; a finding is recorded once.
-- Inputs:  publication_holds
-- Parameters: :start_date first as-of day, :end_date day after the last
select distinct
    as_of_date,
    experiment_id,
    reason,
    detail
from publication_holds
where
    as_of_date >= cast(:start_date as date)
    and as_of_date < cast(:end_date as date);
