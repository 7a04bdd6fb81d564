-- Purpose: days on which more than one row in a hundred was rejected; a warning.
-- Parameters: :start_date first day, :end_date day after the last
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
where rejected * 100 > received;
