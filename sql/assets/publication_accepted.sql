-- Purpose: the findings that a user accepted with the newest publication of an experiment.
-- Grain:   experiment_id
-- Inputs:  publication_holds, current_publications
-- Parameters: :reason name under which the acceptance is recorded
select
    newest.experiment_id,
    acceptances.detail
from current_publications as newest
inner join publication_holds as acceptances
    on
        newest.experiment_id = acceptances.experiment_id
        and newest.as_of_date = acceptances.as_of_date
        and newest.published_at = acceptances.held_at
where acceptances.reason = :reason;
