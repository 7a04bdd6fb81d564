-- Purpose: the verdicts on the rows of some days.
-- Inputs:  validated_metrics
-- Parameters: :start_date first day, :end_date day after the last
select
    count(*) as received,
    cast(count_if(rejection_reason is null and not is_superseded) as bigint) as accepted,
    cast(count_if(is_superseded) as bigint) as superseded,
    cast(count_if(rejection_reason is not null) as bigint) as rejected,
    cast(
        coalesce(
            sum(case when rejection_reason is null and not is_superseded then impressions_count end), 0
        ) as bigint
    ) as impressions,
    cast(
        coalesce(
            sum(case when rejection_reason is null and not is_superseded then clicks_count end), 0
        ) as bigint
    ) as clicks
from validated_metrics
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date);
