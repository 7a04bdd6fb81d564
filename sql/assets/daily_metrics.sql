-- Purpose: the accepted counts of some days, replacing what was there.
-- Grain:   metric_date, experiment_id, variant_name
-- Inputs:  validated_metrics
-- Parameters: :start_date first day, :end_date day after the last
delete from daily_metrics
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date);

insert into daily_metrics (
    metric_date, experiment_id, variant_name, impressions, clicks, source_file, received_at
)
select
    metric_date,
    experiment_id,
    variant_name,
    impressions_count,
    clicks_count,
    source_file,
    received_at
from validated_metrics
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date)
    and rejection_reason is null
    and not is_superseded;
