-- Purpose: the state of what readers are served, for people: experiments that are held back first,
--          then frozen ones, then the others; a row per variant.
-- Grain:   experiment_id, variant_name
-- Inputs:  experiments, current_publications, current_holds, allocations
-- Parameters: :today the day for which status is read; :limit the most rows
select
    experiments.experiment_id,
    experiments.experiment_name,
    experiments.status,
    newest.as_of_date,
    held.reason as held_back_reason,
    held.detail as held_back_detail,
    allocations.variant_name,
    allocations.allocation_hundredths
from experiments
left join current_publications as newest on experiments.experiment_id = newest.experiment_id
left join current_holds as held on experiments.experiment_id = held.experiment_id
left join allocations
    on
        newest.experiment_id = allocations.experiment_id
        and newest.as_of_date = allocations.as_of_date
        and newest.allocation_id = allocations.allocation_id
where
    experiments.valid_from_date <= cast(:today as date)
    and experiments.valid_to_date > cast(:today as date)
    and (newest.experiment_id is not null or held.experiment_id is not null)
order by
    case when held.reason is not null then 0 when experiments.status <> 'running' then 1 else 2 end,
    experiments.experiment_name,
    allocations.variant_name
limit :limit;
