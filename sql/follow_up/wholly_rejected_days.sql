-- Purpose: days of which every row was rejected.
-- Grain:   metric_date
-- Inputs:  validated_metrics
-- Parameters: :start_date first day, :end_date day after the last
select metric_date
from validated_metrics
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date)
group by metric_date
having count(*) = count_if(rejection_reason is not null)
order by metric_date;
