-- Purpose: how much each experiment has seen: its days with accepted counts, and their impressions.
-- Grain:   experiment_id
-- Inputs:  served_observed_months
select
    experiment_id,
    cast(sum(day_count) as bigint) as day_count,
    cast(sum(impressions) as bigint) as impressions
from served_observed_months
group by experiment_id
order by experiment_id;
