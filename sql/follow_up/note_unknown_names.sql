-- Purpose: note of some days how many of their rows name no registered experiment, so that the next
--          registration need not read a day without any. They still have to be judged.
-- Inputs:  inbox_files, raw_metrics, experiments, registry_fingerprint
-- Parameters: :start_date first day, :end_date day after the last
delete from judged_days
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date);

insert into judged_days (
    metric_date, fingerprint, registry_fingerprint, code_version, unknown_rows
)
with registered as (
    select experiment_id as known_name
    from experiments
    union
    select experiment_name as known_name
    from experiments
),

unknown as (
    select
        raw_metrics.metric_date,
        count(*) as row_count
    from raw_metrics
    left join registered on raw_metrics.experiment = registered.known_name
    where
        raw_metrics.metric_date >= cast(:start_date as date)
        and raw_metrics.metric_date < cast(:end_date as date)
        and raw_metrics.experiment is not null
        and registered.known_name is null
    group by raw_metrics.metric_date
),

days as (
    select distinct metric_date
    from inbox_files
    where
        metric_date >= cast(:start_date as date)
        and metric_date < cast(:end_date as date)
)

select
    days.metric_date,
    '' as fingerprint,
    registry_fingerprint.fingerprint as registry_fingerprint,
    '' as code_version,
    coalesce(unknown.row_count, 0) as unknown_rows
from days
cross join registry_fingerprint
left join unknown on days.metric_date = unknown.metric_date;
