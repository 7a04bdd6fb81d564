-- Purpose: the part of raw_metrics before the cutoff: rows, and approximate bytes of text.
-- Inputs:  raw_metrics
-- Parameters: :cutoff_date first day that stays
select
    count(*) as item_count,
    cast(
        coalesce(
            sum(
                length(source_file) + length(coalesce(submission_id, ''))
                + length(coalesce(experiment, '')) + length(coalesce(variant_name, ''))
                + length(coalesce(impressions, '')) + length(coalesce(clicks, ''))
                + length(coalesce(error, ''))
            ), 0
        ) as bigint
    ) as size_bytes,
    min(metric_date) as oldest,
    max(metric_date) as newest
from raw_metrics
where metric_date < cast(:cutoff_date as date);
