-- Purpose: the served allocations: each experiment's publication with the newest as-of day, or the
--          one of a given day; a row per variant.
-- Grain:   experiment_id, variant_name
-- Inputs:  served_publications, served_current_publications, served_holds, served_current_holds,
--          served_allocations, served_experiments, served_variants
-- Parameters: :today the day for which status is read; :as_of_date a day, or null for the newest
with chosen as (
    select
        publications.experiment_id,
        publications.as_of_date,
        publications.published_at,
        publications.allocation_id,
        publications.buckets,
        publications.was_live,
        publications.data_through
    from served_publications as publications
    inner join served_current_publications as newest
        on
            publications.experiment_id = newest.experiment_id
            and publications.as_of_date = newest.as_of_date
            and publications.published_at = newest.published_at
    where cast(:as_of_date as date) is null
    union all
    (
        select
            experiment_id,
            as_of_date,
            published_at,
            allocation_id,
            buckets,
            was_live,
            data_through
        from served_publications
        where as_of_date = cast(:as_of_date as date)
        qualify row_number() over (
            partition by experiment_id
            order by published_at desc nulls last
        ) = 1
    )
),

-- An experiment that was held back after its newest publication keeps that one, marked.
held as (
    select
        experiment_id,
        reason,
        detail
    from served_current_holds
    where cast(:as_of_date as date) is null
    union all
    (
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
        where holds.as_of_date >= cast(:as_of_date as date)
        qualify row_number() over (
            partition by holds.experiment_id
            order by
                holds.as_of_date desc nulls last, holds.held_at desc nulls last, holds.reason desc nulls last
        ) = 1
    )
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
