-- Purpose: the rule's inputs, in the order in which it draws: by day, experiment and position.
-- Grain:   as_of_date, experiment_id, variant_name
-- Inputs:  windowed_aggregates, variants
-- Parameters: :start_date first as-of day, :end_date day after the last
select
    windowed_aggregates.as_of_date,
    windowed_aggregates.experiment_id,
    windowed_aggregates.variant_name,
    windowed_aggregates.window_days,
    windowed_aggregates.data_source,
    windowed_aggregates.impressions,
    windowed_aggregates.clicks,
    windowed_aggregates.default_window_impressions,
    windowed_aggregates.default_window_clicks,
    windowed_aggregates.max_window_impressions,
    windowed_aggregates.max_window_clicks,
    coalesce(variants.is_control, false) as is_control
from windowed_aggregates
left join variants
    on
        windowed_aggregates.experiment_id = variants.experiment_id
        and windowed_aggregates.variant_name = variants.variant_name
        and variants.valid_from_date <= windowed_aggregates.as_of_date + 1
        and variants.valid_to_date > windowed_aggregates.as_of_date + 1
where
    windowed_aggregates.as_of_date >= cast(:start_date as date)
    and windowed_aggregates.as_of_date < cast(:end_date as date)
order by
    windowed_aggregates.as_of_date,
    windowed_aggregates.experiment_id,
    coalesce(variants.position, 0),
    windowed_aggregates.variant_name;
