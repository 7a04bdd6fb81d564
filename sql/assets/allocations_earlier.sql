-- Purpose: the decisions of an experiment before a day, for the replay of one that counted burn-in.
-- Grain:   as_of_date, experiment_id, variant_name, allocation_id
-- Inputs:  allocations
-- Parameters: :experiment_id, :as_of_date day before which
select *
from allocations
where
    experiment_id = :experiment_id
    and as_of_date < cast(:as_of_date as date)
order by as_of_date, allocation_id, variant_name;
