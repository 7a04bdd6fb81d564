-- Purpose: the accepted counts of an experiment, oldest first, one page of them.
-- Grain:   metric_date, variant_name
-- Inputs:  served_metrics
-- Parameters: :experiment_id; :from_date and :to_date, first and last day, or null;
--             :after_date and :after_variant, the last row of the previous page, or null; :limit
select
    metric_date,
    variant_name,
    impressions,
    clicks,
    received_at
from served_metrics
where
    experiment_id = :experiment_id
    and metric_date >= coalesce(cast(:from_date as date), metric_date)
    and metric_date <= coalesce(cast(:to_date as date), metric_date)
    and (
        cast(:after_date as date) is null
        or metric_date > cast(:after_date as date)
        or (metric_date = cast(:after_date as date) and variant_name > cast(:after_variant as varchar))
    )
order by metric_date, variant_name
limit :limit;
