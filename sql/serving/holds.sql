-- Purpose: the gate's findings on an experiment's decisions for a day, oldest first.
-- Grain:   held_at, reason
-- Inputs:  served_holds
-- Parameters: :experiment_id, :as_of_date
select
    held_at,
    reason,
    detail
from served_holds
where
    experiment_id = :experiment_id
    and as_of_date = cast(:as_of_date as date)
order by held_at, reason;
