-- Purpose: the rejected rows of some days: their number by reason, and the first few of them.
--          `mab ingest` asks before the rows are stored, `mab run` afterwards.
-- Grain:   source_file, row_number
-- Inputs:  validated_metrics
-- Parameters: :start_date first day, :end_date day after the last, :most how many are shown for each reason
with rejected as (
    select
        rejection_reason,
        source_file,
        row_number,
        experiment,
        variant_name,
        impressions,
        clicks,
        error,
        count(*) over (partition by rejection_reason) as row_count,
        row_number() over (
            partition by rejection_reason
            order by source_file nulls last, row_number nulls last
        ) as place
    from validated_metrics
    where
        rejection_reason is not null
        and metric_date >= cast(:start_date as date)
        and metric_date < cast(:end_date as date)
)

select
    rejection_reason,
    source_file,
    row_number,
    experiment,
    variant_name,
    impressions,
    clicks,
    error,
    row_count
from rejected
where place <= :most
order by rejection_reason, place;
