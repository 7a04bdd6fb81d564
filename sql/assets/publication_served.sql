-- Purpose: the state of what readers are served, for people: experiments that are held back first,
--          then frozen ones, then the others; a row per variant.
-- Grain:   experiment_id, variant_name
-- Inputs:  experiments, publications, publication_holds, allocations
-- Parameters: :today the day for which status is read; :limit the most rows
with newest as (
    select
        experiment_id,
        as_of_date,
        published_at,
        allocation_id
    from publications
    qualify row_number() over (
        partition by experiment_id
        order by as_of_date desc nulls last, published_at desc nulls last
    ) = 1
),

-- A hold of a later day, or of the same day after its publication, keeps the newest publication.
held as (
    select
        holds.experiment_id,
        holds.reason,
        holds.detail
    from publication_holds as holds
    left join newest on holds.experiment_id = newest.experiment_id
    where
        newest.experiment_id is null
        or holds.as_of_date > newest.as_of_date
        or (holds.as_of_date = newest.as_of_date and holds.held_at > newest.published_at)
    qualify row_number() over (
        partition by holds.experiment_id
        order by holds.as_of_date desc nulls last, holds.held_at desc nulls last, holds.reason desc nulls last
    ) = 1
)

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
left join newest on experiments.experiment_id = newest.experiment_id
left join held on experiments.experiment_id = held.experiment_id
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
