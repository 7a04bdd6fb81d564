-- Purpose: the extent of each experiment's published history, which no later copy may shorten.
-- Grain:   experiment_id
-- Inputs:  served_published_months, served_experiments
select
    experiment_id,
    max(newest_day) as newest_day,
    cast(sum(day_count) as bigint) as day_count
from served_published_months
where experiment_id in (select experiment_id from served_experiments)
group by experiment_id
order by experiment_id;
