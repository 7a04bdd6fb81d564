-- Purpose: the verdicts on the received rows of an experiment by day and file, one page of days.
--          Rows that name no known experiment belong to none.
-- Grain:   metric_date, source_file, verdict
-- Inputs:  served_verdicts
-- Parameters: :experiment_id; :from_date and :to_date, first and last day, or null; :after_date, the
--             last day of the previous page, or null; :limit days
with judged as (
    select
        metric_date,
        source_file,
        case
            when rejection_reason is not null then rejection_reason
            when is_superseded then 'superseded'
            else 'accepted'
        end as verdict,
        variant_name,
        received_at
    from served_verdicts
    where
        experiment_id = :experiment_id
        and metric_date >= coalesce(cast(:from_date as date), metric_date)
        and metric_date <= coalesce(cast(:to_date as date), metric_date)
        and (cast(:after_date as date) is null or metric_date > cast(:after_date as date))
),

page as (
    select distinct metric_date
    from judged
    order by metric_date
    limit :limit
)

select
    judged.metric_date,
    judged.source_file,
    judged.verdict,
    count(*) as row_count,
    min(judged.variant_name) as variant_name,
    min(judged.received_at) as received_at
from judged
inner join page on judged.metric_date = page.metric_date
group by judged.metric_date, judged.source_file, judged.verdict
order by judged.metric_date, judged.source_file, judged.verdict;
