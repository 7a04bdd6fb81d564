-- Purpose: days on which rows of a registered experiment were rejected; on other days
--          publication_rejected_impressions.sql finds nothing.
-- Grain:   metric_date
-- Inputs:  validated_metrics
-- Parameters: :start_date first day, :end_date day after the last
select distinct metric_date
from validated_metrics
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date)
    and rejection_reason is not null
    and experiment_id is not null;
