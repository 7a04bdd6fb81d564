-- Purpose: publications, holds and analyses of some days that are newer than the row of their experiment in
--          current_publications, current_holds or current_analyses; there must be none.
-- Parameters: :start_date first as-of day, :end_date day after the last
with overlooked as (
    select
        publications.as_of_date as day,
        publications.experiment_id,
        'current_publications' as table_name
    from publications
    left join current_publications as newest on publications.experiment_id = newest.experiment_id
    where
        publications.as_of_date >= cast(:start_date as date)
        and publications.as_of_date < cast(:end_date as date)
        and (
            newest.experiment_id is null
            or publications.as_of_date > newest.as_of_date
            or (
                publications.as_of_date = newest.as_of_date
                and publications.published_at > newest.published_at
            )
        )
    union all
    select
        holds.as_of_date as day,
        holds.experiment_id,
        'current_holds' as table_name
    from publication_holds as holds
    left join current_publications as newest on holds.experiment_id = newest.experiment_id
    left join current_holds as held on holds.experiment_id = held.experiment_id
    where
        holds.as_of_date >= cast(:start_date as date)
        and holds.as_of_date < cast(:end_date as date)
        and (
            newest.experiment_id is null
            or holds.as_of_date > newest.as_of_date
            or (holds.as_of_date = newest.as_of_date and holds.held_at > newest.published_at)
        )
        and (
            held.experiment_id is null
            or holds.as_of_date > held.as_of_date
            or (holds.as_of_date = held.as_of_date and holds.held_at > held.held_at)
        )
    union all
    select
        analysis.as_of_date as day,
        analysis.experiment_id,
        'current_analyses' as table_name
    from analysis
    left join current_analyses as newest on analysis.experiment_id = newest.experiment_id
    where
        analysis.as_of_date >= cast(:start_date as date)
        and analysis.as_of_date < cast(:end_date as date)
        and (
            newest.experiment_id is null
            or analysis.as_of_date > newest.as_of_date
            or (analysis.as_of_date = newest.as_of_date and analysis.analysed_at > newest.analysed_at)
        )
    union all
    select
        max(as_of_date) as day,
        experiment_id,
        'current_publications' as table_name
    from current_publications
    group by experiment_id
    having count(*) > 1
)

select distinct
    day,
    experiment_id,
    experiment_id || ': ' || table_name || ' has not its newest row alone; `mab rebuild` restores it, on Snowflake `mab init` once the table is empty' as detail
from overlooked
order by day, experiment_id, detail;
