-- Purpose: the received rows of an experiment as they came, with their verdicts, one page of them.
-- Grain:   metric_date, source_file, row_number
-- Inputs:  served_verdicts
-- Parameters: :experiment_id; :from_date and :to_date, first and last day, or null; :verdict, or null
--             for all, `rejected` for each reason; :after_date, :after_file and :after_row, the last
--             row of the previous page, or null; :limit rows
with judged as (
    select
        metric_date,
        source_file,
        row_number,
        received_at,
        case
            when rejection_reason is not null then rejection_reason
            when is_superseded then 'superseded'
            else 'accepted'
        end as verdict,
        rejection_reason is not null as is_rejected,
        experiment,
        variant_name,
        impressions,
        clicks,
        error
    from served_verdicts
    where
        experiment_id = :experiment_id
        and metric_date >= coalesce(cast(:from_date as date), metric_date)
        and metric_date <= coalesce(cast(:to_date as date), metric_date)
        and (
            cast(:after_date as date) is null
            or metric_date > cast(:after_date as date)
            or (
                metric_date = cast(:after_date as date)
                and (
                    source_file > cast(:after_file as varchar)
                    or (
                        source_file = cast(:after_file as varchar)
                        and row_number > cast(:after_row as bigint)
                    )
                )
            )
        )
)

select
    metric_date,
    source_file,
    row_number,
    received_at,
    verdict,
    experiment,
    variant_name,
    impressions,
    clicks,
    error
from judged
where
    cast(:verdict as varchar) is null
    or verdict = cast(:verdict as varchar)
    or (cast(:verdict as varchar) = 'rejected' and is_rejected)
order by metric_date, source_file, row_number
limit :limit;
