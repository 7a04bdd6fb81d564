-- Purpose: the windows of some days as they are stored.
-- Grain:   as_of_date, experiment_id, variant_name
-- Inputs:  windowed_aggregates
-- Parameters: :start_date first as-of day, :end_date day after the last
select
    as_of_date,
    experiment_id,
    variant_name,
    window_days,
    window_start_date,
    days_observed,
    data_source,
    impressions,
    clicks,
    default_window_impressions,
    default_window_clicks,
    max_window_impressions,
    max_window_clicks
from windowed_aggregates
where
    as_of_date >= cast(:start_date as date)
    and as_of_date < cast(:end_date as date);
