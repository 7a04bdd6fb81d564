-- Purpose: the newest analysis of an experiment, or that of one allocation.
-- Grain:   experiment_id
-- Inputs:  served_analysis
-- Parameters: :experiment_id, :allocation_id or null
with newest as (
    -- The long texts of other days are not read.
    select
        as_of_date,
        analysed_at
    from served_analysis
    where
        experiment_id = :experiment_id
        and allocation_id = coalesce(cast(:allocation_id as varchar), allocation_id)
    qualify row_number() over (
        partition by experiment_id
        order by as_of_date desc nulls last, analysed_at desc nulls last
    ) = 1
)

select
    analysis.as_of_date,
    analysis.experiment_id,
    analysis.analysed_at,
    analysis.allocation_id,
    analysis.is_published,
    analysis.analysis
from served_analysis as analysis
inner join newest
    on
        analysis.as_of_date = newest.as_of_date
        and analysis.analysed_at = newest.analysed_at
where analysis.experiment_id = :experiment_id;
