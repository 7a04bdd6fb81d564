-- Purpose: the findings that a user accepted with the newest publication of an experiment.
-- Grain:   experiment_id
-- Inputs:  publication_holds, publications
-- Parameters: :reason name under which the acceptance is recorded
with acceptances as (
    select
        experiment_id,
        as_of_date,
        held_at,
        detail
    from publication_holds
    where reason = :reason
),

newest as (
    select
        experiment_id,
        as_of_date,
        published_at
    from publications
    where experiment_id in (select experiment_id from acceptances)
    qualify row_number() over (
        partition by experiment_id
        order by as_of_date desc nulls last, published_at desc nulls last
    ) = 1
)

select
    newest.experiment_id,
    acceptances.detail
from newest
inner join acceptances
    on
        newest.experiment_id = acceptances.experiment_id
        and newest.as_of_date = acceptances.as_of_date
        and newest.published_at = acceptances.held_at;
