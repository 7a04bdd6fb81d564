-- Purpose: the verdicts on an experiment's other rows in a window: superseded, or rejected and why.
-- Inputs:  served_verdicts
-- Parameters: :experiment_id, :start_date first day, :end_date day after the last
select
    variant_name,
    coalesce(rejection_reason, 'superseded') as verdict,
    count(*) as row_count,
    min(metric_date) as first_date,
    max(metric_date) as last_date
from served_verdicts
where
    experiment_id = :experiment_id
    and metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date)
    and (rejection_reason is not null or is_superseded)
group by variant_name, coalesce(rejection_reason, 'superseded')
order by variant_name, verdict;
