-- Purpose: the newest as-of day up to a given one that has something to decide: an experiment runs on
--          the day after it. Null if there is none, for example while every experiment is paused
--          from its first day on.
-- Inputs:  experiments
-- Parameters: :due_date the newest as-of day that should be decided by now
select
    max(
        case
            when valid_to_date - 2 < cast(:due_date as date) then valid_to_date - 2
            else cast(:due_date as date)
        end
    ) as due_day
from experiments
where
    status = 'running'
    and valid_from_date <= cast(:due_date as date) + 1
    and coalesce(start_date, cast(created_at as date)) <= cast(:due_date as date) + 1
    and coalesce(start_date, cast(created_at as date)) < valid_to_date;
