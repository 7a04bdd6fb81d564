-- Purpose: the verdicts on the rows of some days, for each day that has rows.
-- Grain:   metric_date
-- Inputs:  validated_metrics
-- Parameters: :start_date first day, :end_date day after the last
with verdicts as (
    select
        metric_date,
        case when rejection_reason is null and not is_superseded then experiment_id end as experiment_id,
        case when rejection_reason is null and not is_superseded then impressions_count end as impressions,
        case when rejection_reason is null and not is_superseded then clicks_count end as clicks,
        rejection_reason,
        is_superseded
    from validated_metrics
    where
        metric_date >= cast(:start_date as date)
        and metric_date < cast(:end_date as date)
)

select
    metric_date,
    count(*) as received,
    count(experiment_id) as accepted,
    cast(count_if(is_superseded) as bigint) as superseded,
    cast(count_if(rejection_reason is not null) as bigint) as rejected,
    count(distinct experiment_id) as experiments,
    cast(coalesce(sum(impressions), 0) as bigint) as impressions,
    cast(coalesce(sum(clicks), 0) as bigint) as clicks
from verdicts
group by metric_date
order by metric_date;
