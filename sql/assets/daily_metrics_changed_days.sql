-- Purpose: the days that have to be judged: something that their verdicts depend on is not as it was
--          when daily_metrics was last known to agree with them, or they never were.
-- Grain:   metric_date
-- Inputs:  day_fingerprints, registry_fingerprint, judged_days
-- Parameters: :start_date first day, :end_date day after the last, :code_version of the SQL that judges
select day_fingerprints.metric_date
from day_fingerprints
cross join registry_fingerprint
left join judged_days
    on
        day_fingerprints.metric_date = judged_days.metric_date
        and day_fingerprints.fingerprint = judged_days.fingerprint
        and registry_fingerprint.fingerprint = judged_days.registry_fingerprint
        and judged_days.code_version = :code_version
where
    day_fingerprints.metric_date >= cast(:start_date as date)
    and day_fingerprints.metric_date < cast(:end_date as date)
    and judged_days.metric_date is null
order by day_fingerprints.metric_date;
