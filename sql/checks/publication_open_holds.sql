-- Purpose: experiments that keep their last publication for a reason.
-- Parameters: :start_date first as-of day, :end_date day after the last, :reason such as data_gap
select
    holds.as_of_date as day,
    holds.experiment_id,
    holds.experiment_id || ': ' || min(holds.detail) as detail
from publication_holds as holds
left join publications
    on
        holds.as_of_date = publications.as_of_date
        and holds.experiment_id = publications.experiment_id
        and holds.held_at < publications.published_at
where
    holds.as_of_date >= cast(:start_date as date)
    and holds.as_of_date < cast(:end_date as date)
    and holds.reason = :reason
    and publications.experiment_id is null
group by holds.as_of_date, holds.experiment_id;
