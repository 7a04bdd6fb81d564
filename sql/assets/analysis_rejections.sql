-- Purpose: of each experiment the rows received and rejected on one day, if any was rejected.
-- Grain:   experiment_id
-- Inputs:  validated_metrics
-- Parameters: :as_of_date
select
    experiment_id,
    count(*) as received_count,
    count(rejection_reason) as rejected_count
from validated_metrics
where
    metric_date = cast(:as_of_date as date)
    and experiment_id is not null
group by experiment_id
having count(rejection_reason) > 0
order by experiment_id;
