-- Purpose: how much each experiment has seen: its days with accepted counts, and their impressions.
-- Grain:   experiment_id
-- Inputs:  served_metrics
select
    experiment_id,
    count(distinct metric_date) as day_count,
    cast(sum(impressions) as bigint) as impressions
from served_metrics
group by experiment_id
order by experiment_id;
