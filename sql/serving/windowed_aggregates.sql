-- Purpose: what both windows of an experiment hold on a day.
-- Grain:   variant_name
-- Inputs:  served_windows
-- Parameters: :experiment_id, :as_of_date
select
    variant_name,
    default_window_impressions,
    max_window_impressions
from served_windows
where
    experiment_id = :experiment_id
    and as_of_date = cast(:as_of_date as date)
order by variant_name;
