-- Purpose: the views served_current_* that a published copy of an older version lacks, from all of its
--          history. 02_create_monthly_views.sql has the others.
-- Run by:  readers of such a copy on DuckDB, which is open for reading alone.
create temporary view served_current_publications as
with days as (
    select
        experiment_id,
        as_of_date,
        published_at,
        allocation_id
    from served_publications
    qualify row_number() over (
        partition by experiment_id, as_of_date
        order by published_at desc nulls last
    ) = 1
)

select
    experiment_id,
    as_of_date,
    published_at,
    lead(as_of_date) over (
        partition by experiment_id
        order by as_of_date desc nulls last
    ) as previous_as_of_date,
    lead(allocation_id) over (
        partition by experiment_id
        order by as_of_date desc nulls last
    ) as previous_allocation_id
from days
qualify row_number() over (
    partition by experiment_id
    order by as_of_date desc nulls last
) = 1;

create temporary view served_current_holds as
select
    holds.experiment_id,
    holds.reason,
    holds.detail
from served_holds as holds
left join served_current_publications as newest on holds.experiment_id = newest.experiment_id
where
    newest.experiment_id is null
    or holds.as_of_date > newest.as_of_date
    or (holds.as_of_date = newest.as_of_date and holds.held_at > newest.published_at)
qualify row_number() over (
    partition by holds.experiment_id
    order by holds.as_of_date desc nulls last, holds.held_at desc nulls last, holds.reason desc nulls last
) = 1;

create temporary view served_current_analyses as
select
    experiment_id,
    as_of_date,
    analysed_at
from served_analysis
qualify row_number() over (
    partition by experiment_id
    order by as_of_date desc nulls last, analysed_at desc nulls last
) = 1;
