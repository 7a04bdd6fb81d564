-- Purpose: days with more than the allowed share of rejected rows; a warning.
-- Parameters: :start_date first day, :end_date day after the last, :max_rejected_share 0 to 1
with verdicts as (
    select
        metric_date,
        count(*) as received,
        cast(count_if(rejection_reason is not null) as bigint) as rejected
    from validated_metrics
    where
        metric_date >= cast(:start_date as date)
        and metric_date < cast(:end_date as date)
    group by metric_date
)

select
    metric_date as day,
    cast(rejected as varchar) || ' of ' || cast(received as varchar) || ' rows were rejected'
        as detail
from verdicts
-- 0.29 of 100 is 28.999999999999996 in binary: the factor keeps 29 within it.
where rejected > received * cast(:max_rejected_share as double) * 1.000000000001;
