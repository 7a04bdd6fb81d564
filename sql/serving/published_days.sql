-- Purpose: the extent of each experiment's published history, which no later copy may shorten.
-- Grain:   experiment_id
-- Inputs:  served_publications, served_experiments
select
    experiment_id,
    max(as_of_date) as newest_day,
    count(distinct as_of_date) as day_count
from served_publications
where experiment_id in (select experiment_id from served_experiments)
group by experiment_id
order by experiment_id;
