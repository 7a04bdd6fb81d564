-- Purpose: analyses of some days whose traffic does not follow the published shares, the newest of
--          each day and experiment.
-- Grain:   as_of_date, experiment_id
-- Inputs:  analysis
-- Parameters: :start_date first as-of day, :end_date day after the last, :least_p_value
with newest as (
    select
        as_of_date,
        experiment_id,
        sample_ratio_p_value,
        analysis
    from analysis
    where
        as_of_date >= cast(:start_date as date)
        and as_of_date < cast(:end_date as date)
    qualify row_number() over (
        partition by as_of_date, experiment_id
        order by analysed_at desc nulls last
    ) = 1
)

select
    as_of_date,
    experiment_id,
    analysis
from newest
where sample_ratio_p_value < cast(:least_p_value as double)
order by as_of_date, experiment_id;
