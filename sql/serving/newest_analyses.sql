-- Purpose: the newest analysis of each experiment.
-- Grain:   experiment_id
-- Inputs:  served_analysis
with newest as (
    select
        experiment_id,
        as_of_date,
        analysed_at
    from served_analysis
    qualify row_number() over (
        partition by experiment_id
        order by as_of_date desc nulls last, analysed_at desc nulls last
    ) = 1
)

select
    analysis.experiment_id,
    analysis.analysis
from served_analysis as analysis
inner join newest
    on
        analysis.as_of_date = newest.as_of_date
        and analysis.experiment_id = newest.experiment_id
        and analysis.analysed_at = newest.analysed_at
order by analysis.experiment_id;
