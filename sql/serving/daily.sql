-- Purpose: the accepted counts of an experiment with the file that each came from, one page of days.
-- Grain:   metric_date, variant_name
-- Inputs:  served_metrics
-- Parameters: :experiment_id; :from_date and :to_date, first and last day, or null; :after_date, the
--             last day of the previous page, or null; :limit days
with page as (
    select distinct metric_date
    from served_metrics
    where
        experiment_id = :experiment_id
        and metric_date >= coalesce(cast(:from_date as date), metric_date)
        and metric_date <= coalesce(cast(:to_date as date), metric_date)
        and (cast(:after_date as date) is null or metric_date > cast(:after_date as date))
    order by metric_date
    limit :limit
)

select
    metrics.metric_date,
    metrics.variant_name,
    metrics.impressions,
    metrics.clicks,
    metrics.source_file,
    metrics.received_at
from served_metrics as metrics
inner join page on metrics.metric_date = page.metric_date
where metrics.experiment_id = :experiment_id
order by metrics.metric_date, metrics.variant_name;
