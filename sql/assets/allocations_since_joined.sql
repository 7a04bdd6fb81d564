-- Purpose: how often a variant was shown since it joined, for BURN_IN; only of variants with too few
--          impressions in the longest window: all others have had enough.
-- Grain:   as_of_date, experiment_id, variant_name
-- Inputs:  windowed_aggregates, daily_metrics
-- Parameters: :start_date first as-of day, :end_date day after the last,
--          :min_impressions [impressions]
select
    windowed_aggregates.as_of_date,
    windowed_aggregates.experiment_id,
    windowed_aggregates.variant_name,
    cast(sum(daily_metrics.impressions) as bigint) as impressions_since_joined
from windowed_aggregates
inner join daily_metrics
    on
        windowed_aggregates.experiment_id = daily_metrics.experiment_id
        and windowed_aggregates.variant_name = daily_metrics.variant_name
        and windowed_aggregates.as_of_date >= daily_metrics.metric_date
where
    windowed_aggregates.as_of_date >= cast(:start_date as date)
    and windowed_aggregates.as_of_date < cast(:end_date as date)
    and windowed_aggregates.max_window_impressions < cast(:min_impressions as bigint)
group by
    windowed_aggregates.as_of_date,
    windowed_aggregates.experiment_id,
    windowed_aggregates.variant_name
order by
    windowed_aggregates.as_of_date,
    windowed_aggregates.experiment_id,
    windowed_aggregates.variant_name;
