-- Purpose: the decisions of some days as they were recorded, for their analysis.
-- Grain:   as_of_date, experiment_id, variant_name, allocation_id
-- Inputs:  allocations, variants
-- Parameters: :start_date first as-of day, :end_date day after the last
select
    allocations.as_of_date,
    allocations.experiment_id,
    allocations.variant_name,
    allocations.allocation_id,
    allocations.alpha,
    allocations.beta,
    allocations.settings,
    allocations.computed_at,
    variants.is_control
from allocations
inner join variants
    on
        allocations.experiment_id = variants.experiment_id
        and allocations.variant_name = variants.variant_name
        and variants.valid_from_date <= allocations.effective_date
        and variants.valid_to_date > allocations.effective_date
where
    allocations.as_of_date >= cast(:start_date as date)
    and allocations.as_of_date < cast(:end_date as date)
order by allocations.experiment_id, allocations.allocation_id, variants.position;
