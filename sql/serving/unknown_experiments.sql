-- Purpose: the names that rows were rejected for since nobody had registered them, and their days.
-- Grain:   metric_date, experiment
-- Inputs:  validated_metrics
select distinct
    metric_date,
    experiment
from validated_metrics
where rejection_reason = 'unknown_experiment'
order by metric_date, experiment;
