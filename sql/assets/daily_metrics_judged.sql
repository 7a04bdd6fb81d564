-- Purpose: note that daily_metrics of some days agrees with raw_metrics and the registry, as they are
--          now.
-- Inputs:  day_fingerprints, registry_fingerprint, raw_metrics, experiments
-- Parameters: :start_date first day, :end_date day after the last, :code_version of the SQL that judged
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
)

select
    day_fingerprints.metric_date,
    day_fingerprints.fingerprint,
    registry_fingerprint.fingerprint as registry_fingerprint,
    :code_version as code_version,
    coalesce(unknown.row_count, 0) as unknown_rows
from day_fingerprints
cross join registry_fingerprint
left join unknown on day_fingerprints.metric_date = unknown.metric_date
where
    day_fingerprints.metric_date >= cast(:start_date as date)
    and day_fingerprints.metric_date < cast(:end_date as date);
