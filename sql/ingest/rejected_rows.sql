-- Purpose: the rows that would be rejected, before they are stored: their number by reason, and the
--          first few of them.
-- Grain:   source_file, row_number
-- Inputs:  validated_metrics
-- Parameters: :most how many are shown for each reason
with rejected as (
    select
        rejection_reason,
        source_file,
        row_number,
        experiment,
        variant_name,
        impressions,
        clicks,
        count(*) over (partition by rejection_reason) as row_count,
        row_number() over (
            partition by rejection_reason
            order by source_file nulls last, row_number nulls last
        ) as place
    from validated_metrics
    where rejection_reason is not null
)

select
    rejection_reason,
    source_file,
    row_number,
    experiment,
    variant_name,
    impressions,
    clicks,
    row_count
from rejected
where place <= :most
order by rejection_reason, place;
