-- Purpose: every decision of an experiment for a day; the one that was published last comes first.
-- Grain:   allocation_id, variant_name
-- Inputs:  served_allocations, served_publications, served_variants
-- Parameters: :experiment_id; :as_of_date, or null for the newest published day
with published as (
    select
        as_of_date,
        allocation_id,
        max(published_at) as published_at
    from served_publications
    where experiment_id = :experiment_id
    group by as_of_date, allocation_id
),

asked as (
    select coalesce(cast(:as_of_date as date), max(as_of_date)) as as_of_date
    from published
)

select
    allocations.*,
    published.published_at,
    variants.is_control
from served_allocations as allocations
inner join asked on allocations.as_of_date = asked.as_of_date
left join published
    on
        allocations.as_of_date = published.as_of_date
        and allocations.allocation_id = published.allocation_id
left join served_variants as variants
    on
        allocations.experiment_id = variants.experiment_id
        and allocations.variant_name = variants.variant_name
        and variants.valid_from_date <= allocations.effective_date
        and variants.valid_to_date > allocations.effective_date
where allocations.experiment_id = :experiment_id
order by
    published.published_at desc nulls last,
    allocations.computed_at desc nulls last,
    allocations.allocation_id,
    variants.position nulls last,
    allocations.variant_name;
