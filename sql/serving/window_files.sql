-- Purpose: the files of those days of a window on which several files hold counts of an
--          experiment, in the order in which they count; the last one wins.
-- Grain:   metric_date, source_file
-- Inputs:  validated_metrics, inbox_files
-- Parameters: :experiment_id, :start_date first day, :end_date day after the last
with counted as (
    select
        metric_date,
        source_file,
        max(received_at) as received_at
    from validated_metrics
    where
        experiment_id = :experiment_id
        and metric_date >= cast(:start_date as date)
        and metric_date < cast(:end_date as date)
        and rejection_reason is null
    group by metric_date, source_file
),

corrected as (
    select metric_date
    from counted
    group by metric_date
    having count(*) > 1
)

select
    counted.metric_date,
    counted.source_file,
    counted.received_at,
    inbox_files.sha256,
    inbox_files.loaded_at
from counted
inner join corrected on counted.metric_date = corrected.metric_date
left join inbox_files on counted.source_file = inbox_files.source_file
order by counted.metric_date, counted.received_at, counted.source_file;
