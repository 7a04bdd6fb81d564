-- Purpose: the publications of an experiment, oldest first, one page of them.
-- Grain:   as_of_date, published_at, variant_name
-- Inputs:  served_publications, served_allocations, served_variants
-- Parameters: :experiment_id; :from_date and :to_date, first and last as-of day, or null;
--             :after_date and :after_moment, the last publication of the previous page, or null;
--             :limit publications
with page as (
    select *
    from served_publications
    where
        experiment_id = :experiment_id
        and as_of_date >= coalesce(cast(:from_date as date), as_of_date)
        and as_of_date <= coalesce(cast(:to_date as date), as_of_date)
        and (
            cast(:after_date as date) is null
            or as_of_date > cast(:after_date as date)
            or (
                as_of_date = cast(:after_date as date)
                and published_at > cast(:after_moment as timestamp)
            )
        )
    order by as_of_date, published_at
    limit :limit
)

select
    page.as_of_date,
    page.published_at,
    page.was_live,
    page.data_through,
    page.buckets,
    allocations.allocation_id,
    allocations.effective_date,
    allocations.computed_at,
    allocations.algorithm,
    allocations.variant_name,
    variants.is_control,
    allocations.allocation_hundredths,
    allocations.impressions,
    allocations.clicks,
    allocations.data_source,
    allocations.window_days,
    allocations.probability_best,
    allocations.alpha,
    allocations.beta
from page
inner join served_allocations as allocations
    on
        page.experiment_id = allocations.experiment_id
        and page.as_of_date = allocations.as_of_date
        and page.allocation_id = allocations.allocation_id
inner join served_variants as variants
    on
        allocations.experiment_id = variants.experiment_id
        and allocations.variant_name = variants.variant_name
        and variants.valid_from_date <= allocations.effective_date
        and variants.valid_to_date > allocations.effective_date
order by page.as_of_date, page.published_at, variants.position;
