-- Purpose: the shares of the newest published day before the one that is served.
-- Grain:   experiment_id, variant_name
-- Inputs:  served_publications, served_allocations
with newest as (
    select
        experiment_id,
        max(as_of_date) as as_of_date
    from served_publications
    group by experiment_id
),

previous as (
    select
        publications.experiment_id,
        publications.as_of_date,
        publications.allocation_id
    from served_publications as publications
    inner join newest
        on
            publications.experiment_id = newest.experiment_id
            and publications.as_of_date < newest.as_of_date
    qualify row_number() over (
        partition by publications.experiment_id
        order by publications.as_of_date desc nulls last, publications.published_at desc nulls last
    ) = 1
)

select
    allocations.experiment_id,
    allocations.variant_name,
    allocations.effective_date,
    allocations.allocation_hundredths
from previous
inner join served_allocations as allocations
    on
        previous.experiment_id = allocations.experiment_id
        and previous.as_of_date = allocations.as_of_date
        and previous.allocation_id = allocations.allocation_id
order by allocations.experiment_id, allocations.variant_name;
