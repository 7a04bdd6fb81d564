-- Purpose: rows of daily_metrics that share a grain; there must be none.
-- Parameters: :start_date first day, :end_date day after the last
select
    metric_date as day,
    cast(count(*) as varchar) || ' rows for ' || experiment_id || ' ' || variant_name as detail
from daily_metrics
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date)
group by metric_date, experiment_id, variant_name
having count(*) > 1;
