-- Purpose: bring current_publications, current_holds and current_analyses up to the rows of one run.
-- Grain:   experiment_id
-- Inputs:  publications, publication_holds, analysis, current_publications, current_holds,
--          current_analyses
-- Parameters: :stamp when the run published and held back: its rows have that time, all others an
--          earlier one
-- Note:    history only grows, and this run's rows are its newest: these rows, and those that were
--          current before, are all that can be current now. A row that is replaced goes after the new one came.
insert into current_publications (
    experiment_id, as_of_date, published_at, allocation_id, previous_as_of_date,
    previous_allocation_id, updated_at
)
with written as (
    select
        experiment_id,
        as_of_date,
        published_at,
        allocation_id
    from publications
    where published_at = cast(:stamp as timestamp)
),

known as (
    select
        experiment_id,
        as_of_date,
        published_at,
        allocation_id,
        previous_as_of_date,
        previous_allocation_id,
        updated_at
    from current_publications
    where experiment_id in (select experiment_id from written)
),

candidates as (
    select
        experiment_id,
        as_of_date,
        published_at,
        allocation_id
    from written
    union all
    select
        experiment_id,
        as_of_date,
        published_at,
        allocation_id
    from known
    union all
    -- Any time before this run does: on its day it only yields to a row of this run.
    select
        experiment_id,
        previous_as_of_date as as_of_date,
        updated_at as published_at,
        previous_allocation_id as allocation_id
    from known
    where previous_as_of_date is not null
),

days as (
    select
        experiment_id,
        as_of_date,
        published_at,
        allocation_id
    from candidates
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
    cast(:stamp as timestamp) as updated_at
from days
qualify row_number() over (
    partition by experiment_id
    order by as_of_date desc nulls last
) = 1;

delete from current_publications
where
    updated_at < cast(:stamp as timestamp)
    and experiment_id in (
        select experiment_id
        from publications
        where published_at = cast(:stamp as timestamp)
    );

insert into current_holds (experiment_id, as_of_date, held_at, reason, detail, updated_at)
with touched as (
    select experiment_id
    from publications
    where published_at = cast(:stamp as timestamp)
    union
    select experiment_id
    from publication_holds
    where held_at = cast(:stamp as timestamp)
),

candidates as (
    select
        experiment_id,
        as_of_date,
        held_at,
        reason,
        detail
    from publication_holds
    where held_at = cast(:stamp as timestamp)
    union all
    select
        experiment_id,
        as_of_date,
        held_at,
        reason,
        detail
    from current_holds
    where experiment_id in (select experiment_id from touched)
)

select
    candidates.experiment_id,
    candidates.as_of_date,
    candidates.held_at,
    candidates.reason,
    candidates.detail,
    cast(:stamp as timestamp) as updated_at
from candidates
left join current_publications as newest on candidates.experiment_id = newest.experiment_id
where
    newest.experiment_id is null
    or candidates.as_of_date > newest.as_of_date
    or (candidates.as_of_date = newest.as_of_date and candidates.held_at > newest.published_at)
qualify row_number() over (
    partition by candidates.experiment_id
    order by
        candidates.as_of_date desc nulls last,
        candidates.held_at desc nulls last,
        candidates.reason desc nulls last
) = 1;

delete from current_holds
where
    updated_at < cast(:stamp as timestamp)
    and experiment_id in (
        select experiment_id
        from publications
        where published_at = cast(:stamp as timestamp)
        union
        select experiment_id
        from publication_holds
        where held_at = cast(:stamp as timestamp)
    );

insert into current_analyses (experiment_id, as_of_date, analysed_at, updated_at)
with written as (
    select
        experiment_id,
        as_of_date,
        analysed_at
    from analysis
    where analysed_at = cast(:stamp as timestamp)
),

candidates as (
    select
        experiment_id,
        as_of_date,
        analysed_at
    from written
    union all
    select
        experiment_id,
        as_of_date,
        analysed_at
    from current_analyses
    where experiment_id in (select experiment_id from written)
)

select
    experiment_id,
    as_of_date,
    analysed_at,
    cast(:stamp as timestamp) as updated_at
from candidates
qualify row_number() over (
    partition by experiment_id
    order by as_of_date desc nulls last, analysed_at desc nulls last
) = 1;

delete from current_analyses
where
    updated_at < cast(:stamp as timestamp)
    and experiment_id in (
        select experiment_id
        from analysis
        where analysed_at = cast(:stamp as timestamp)
    );
