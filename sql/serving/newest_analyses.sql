-- Purpose: the newest analysis of each experiment.
-- Grain:   experiment_id
-- Inputs:  served_current_analyses, served_analysis
select
    analysis.experiment_id,
    analysis.analysis
from served_analysis as analysis
inner join served_current_analyses as newest
    on
        analysis.as_of_date = newest.as_of_date
        and analysis.experiment_id = newest.experiment_id
        and analysis.analysed_at = newest.analysed_at
order by analysis.experiment_id;
