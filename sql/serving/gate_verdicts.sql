-- Purpose: the gate's findings on an experiment's decisions for a day, oldest first.
-- Inputs:  publication_holds
-- Parameters: :experiment_id, :as_of_date
select
    held_at,
    reason,
    detail,
    run_id
from publication_holds
where
    experiment_id = :experiment_id
    and as_of_date = cast(:as_of_date as date)
order by held_at, reason;
