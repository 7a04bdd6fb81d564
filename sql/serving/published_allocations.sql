-- Purpose: the served allocations: each experiment's publication with the newest as-of day, or the
--          one of a given day; a row per variant.
-- Grain:   experiment_id, variant_name
-- Inputs:  served_publications, served_allocations, served_experiments, served_variants, served_holds
-- Parameters: :today the day for which status is read; :as_of_date a day, or null for the newest
with last_days as (
    -- Two columns of all publications: the others are read of one day of each experiment.
    select
        experiment_id,
        max(as_of_date) as as_of_date
    from served_publications
    where as_of_date = coalesce(cast(:as_of_date as date), as_of_date)
    group by experiment_id
),

chosen as (
    select
        publications.experiment_id,
        publications.as_of_date,
        publications.published_at,
        publications.allocation_id,
        publications.buckets,
        publications.was_live,
        publications.data_through
    from served_publications as publications
    inner join last_days
        on
            publications.experiment_id = last_days.experiment_id
            and publications.as_of_date = last_days.as_of_date
    qualify row_number() over (
        partition by publications.experiment_id
        order by publications.published_at desc nulls last
    ) = 1
),

-- An experiment that was held back after its newest publication keeps that one, marked.
held as (
    select
        holds.experiment_id,
        holds.reason,
        holds.detail
    from served_holds as holds
    inner join chosen
        on
            holds.experiment_id = chosen.experiment_id
            and (
                holds.as_of_date > chosen.as_of_date
                or (holds.as_of_date = chosen.as_of_date and holds.held_at > chosen.published_at)
            )
    qualify row_number() over (
        partition by holds.experiment_id
        order by holds.as_of_date desc nulls last, holds.held_at desc nulls last, holds.reason desc nulls last
    ) = 1
)

select
    chosen.experiment_id,
    experiments.experiment_name,
    experiments.status,
    chosen.as_of_date,
    allocations.effective_date,
    chosen.allocation_id,
    chosen.published_at,
    chosen.data_through,
    chosen.buckets,
    held.reason as held_back_reason,
    held.detail as held_back_detail,
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
from chosen
inner join served_allocations as allocations
    on
        chosen.experiment_id = allocations.experiment_id
        and chosen.as_of_date = allocations.as_of_date
        and chosen.allocation_id = allocations.allocation_id
inner join served_experiments as experiments
    on
        chosen.experiment_id = experiments.experiment_id
        and experiments.valid_from_date <= cast(:today as date)
        and experiments.valid_to_date > cast(:today as date)
inner join served_variants as variants
    on
        allocations.experiment_id = variants.experiment_id
        and allocations.variant_name = variants.variant_name
        and variants.valid_from_date <= allocations.effective_date
        and variants.valid_to_date > allocations.effective_date
left join held on chosen.experiment_id = held.experiment_id
order by experiments.experiment_name, chosen.experiment_id, variants.position;
