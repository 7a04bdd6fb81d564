-- Purpose: how many variants use each window, and of how many experiments, for each of some days.
-- Grain:   as_of_date
-- Inputs:  windowed_aggregates
-- Parameters: :start_date first as-of day, :end_date day after the last
select
    as_of_date,
    count(*) as row_count,
    count(distinct experiment_id) as experiments,
    cast(count_if(data_source = 'default_window') as bigint) as on_default_window,
    cast(count_if(data_source = 'max_window') as bigint) as on_max_window,
    cast(count_if(data_source = 'prior') as bigint) as on_prior
from windowed_aggregates
where
    as_of_date >= cast(:start_date as date)
    and as_of_date < cast(:end_date as date)
group by as_of_date
order by as_of_date;
