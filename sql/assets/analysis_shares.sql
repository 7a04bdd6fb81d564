-- Purpose: the shares and buckets that were live on some days, of the experiments that a run published
--          or held back: of each day the publication that was made last while it was live.
-- Grain:   experiment_id, metric_date, variant_name
-- Inputs:  publications, publication_holds, allocations
-- Parameters: :run_id, :start_date first day, :end_date day after the last
with judged as (
    select experiment_id
    from publications
    where run_id = :run_id
    union
    select experiment_id
    from publication_holds
    where run_id = :run_id
),

live as (
    select
        publications.experiment_id,
        publications.as_of_date,
        publications.allocation_id,
        publications.buckets
    from publications
    inner join judged on publications.experiment_id = judged.experiment_id
    where
        publications.was_live
        and publications.as_of_date >= cast(:start_date as date) - 1
        and publications.as_of_date < cast(:end_date as date) - 1
    qualify row_number() over (
        partition by publications.experiment_id, publications.as_of_date
        order by publications.published_at desc nulls last
    ) = 1
)

select
    live.experiment_id,
    allocations.effective_date as metric_date,
    allocations.variant_name,
    allocations.allocation_hundredths,
    live.buckets
from live
inner join allocations
    on
        live.experiment_id = allocations.experiment_id
        and live.as_of_date = allocations.as_of_date
        and live.allocation_id = allocations.allocation_id
order by live.experiment_id, allocations.effective_date, allocations.variant_name;
