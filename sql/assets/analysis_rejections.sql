-- Purpose: of each experiment the rows received and rejected on one day.
-- Grain:   experiment_id
-- Inputs:  validated_metrics
-- Parameters: :as_of_date
select
    experiment_id,
    count(*) as received_count,
    cast(sum(case when rejection_reason is not null then 1 else 0 end) as bigint) as rejected_count
from validated_metrics
where
    metric_date = cast(:as_of_date as date)
    and experiment_id is not null
group by experiment_id
having sum(case when rejection_reason is not null then 1 else 0 end) > 0
order by experiment_id;
