-- Purpose: the rule's inputs for an experiment on a day.
-- Grain:   variant_name
-- Inputs:  windowed_aggregates
-- Parameters: :experiment_id, :as_of_date
select *
from windowed_aggregates
where
    experiment_id = :experiment_id
    and as_of_date = cast(:as_of_date as date)
order by variant_name;
