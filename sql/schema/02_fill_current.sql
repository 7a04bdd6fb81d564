-- Purpose: the rows of current_publications, current_holds and current_analyses, from all of history.
-- Run by:  `mab init` and the first transaction of a run, after 02_add_columns.sql, and `mab rebuild`.
--          It adds rows only to tables without any: those of an older warehouse, or of a new one.
insert into current_holds (experiment_id, as_of_date, held_at, reason, detail, updated_at)
with newest as (
    select
        experiment_id,
        as_of_date,
        published_at
    from publications
    where not exists (select 1 from current_publications)
    qualify row_number() over (
        partition by experiment_id
        order by as_of_date desc nulls last, published_at desc nulls last
    ) = 1
)

select
    holds.experiment_id,
    holds.as_of_date,
    holds.held_at,
    holds.reason,
    holds.detail,
    holds.held_at as updated_at
from publication_holds as holds
left join newest on holds.experiment_id = newest.experiment_id
where
    not exists (select 1 from current_publications)
    and not exists (select 1 from current_holds)
    and (
        newest.experiment_id is null
        or holds.as_of_date > newest.as_of_date
        or (holds.as_of_date = newest.as_of_date and holds.held_at > newest.published_at)
    )
qualify row_number() over (
    partition by holds.experiment_id
    order by holds.as_of_date desc nulls last, holds.held_at desc nulls last, holds.reason desc nulls last
) = 1;

insert into current_analyses (experiment_id, as_of_date, analysed_at, updated_at)
select
    experiment_id,
    as_of_date,
    analysed_at,
    analysed_at as updated_at
from analysis
where not exists (select 1 from current_analyses)
qualify row_number() over (
    partition by experiment_id
    order by as_of_date desc nulls last, analysed_at desc nulls last
) = 1;

-- Last: the holds above are looked for only while this table is empty.
insert into current_publications (
    experiment_id, as_of_date, published_at, allocation_id, previous_as_of_date,
    previous_allocation_id, updated_at
)
with days as (
    select
        experiment_id,
        as_of_date,
        published_at,
        allocation_id
    from publications
    where not exists (select 1 from current_publications)
    qualify row_number() over (
        partition by experiment_id, as_of_date
        order by published_at desc nulls last
    ) = 1
)

select
    experiment_id,
    as_of_date,
    published_at,
    allocation_id,
    lead(as_of_date) over (
        partition by experiment_id
        order by as_of_date desc nulls last
    ) as previous_as_of_date,
    lead(allocation_id) over (
        partition by experiment_id
        order by as_of_date desc nulls last
    ) as previous_allocation_id,
    published_at as updated_at
from days
qualify row_number() over (
    partition by experiment_id
    order by as_of_date desc nulls last
) = 1;
