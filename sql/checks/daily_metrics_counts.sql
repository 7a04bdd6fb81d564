-- Purpose: accepted counts outside 0 <= clicks <= impressions < 2^53; there must be none.
-- Parameters: :start_date first day, :end_date day after the last
select
    metric_date as day,
    experiment_id || ' ' || variant_name || ': ' || cast(clicks as varchar) || ' clicks of '
    || cast(impressions as varchar) || ' impressions' as detail
from daily_metrics
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date)
    and not (clicks >= 0 and clicks <= impressions and impressions < 9007199254740992);
