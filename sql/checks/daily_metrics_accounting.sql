-- Purpose: days on which rows received are not accepted + superseded + rejected; there must be none.
-- Note:    accepted is counted in daily_metrics, received in raw_metrics, the rest in the view.
--          If `mab prune` dropped a day from raw_metrics, the ledger still has its row counts.
-- Parameters: :start_date first day, :end_date day after the last
with counts as (
    select
        metric_date,
        1 as received,
        0 as accepted,
        0 as superseded,
        0 as rejected
    from raw_metrics
    union all
    select
        metric_date,
        0 as received,
        1 as accepted,
        0 as superseded,
        0 as rejected
    from daily_metrics
    union all
    select
        metric_date,
        0 as received,
        0 as accepted,
        case when is_superseded then 1 else 0 end as superseded,
        case when rejection_reason is not null then 1 else 0 end as rejected
    from validated_metrics
),

totals as (
    select
        metric_date,
        cast(sum(received) as bigint) as received,
        cast(sum(accepted) as bigint) as accepted,
        cast(sum(superseded) as bigint) as superseded,
        cast(sum(rejected) as bigint) as rejected
    from counts
    where
        metric_date >= cast(:start_date as date)
        and metric_date < cast(:end_date as date)
    group by metric_date
),

known as (
    select distinct metric_date
    from inbox_files
    where
        metric_date >= cast(:start_date as date)
        and metric_date < cast(:end_date as date)
)

select
    metric_date as day,
    cast(received as varchar) || ' rows received, but ' || cast(accepted as varchar)
    || ' accepted + ' || cast(superseded as varchar) || ' superseded + '
    || cast(rejected as varchar) || ' rejected' as detail
from totals
where
    received <> accepted + superseded + rejected
    and not (received = 0 and metric_date in (select metric_date from known));
