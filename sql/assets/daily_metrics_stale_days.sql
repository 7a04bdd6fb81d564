-- Purpose: the days whose daily_metrics differ from those that raw_metrics and the registry give now:
--          a late file, a late registration, or a run that was killed between the two tables.
-- Grain:   metric_date
-- Inputs:  validated_metrics, daily_metrics, inbox_files, raw_metrics
-- Note:    a day of which raw_metrics lacks a file that counted is never stale: it stays as it is.
-- Parameters: :start_date first day, :end_date day after the last
with expected as (
    select
        metric_date,
        experiment_id,
        variant_name,
        impressions_count as impressions,
        clicks_count as clicks,
        source_file,
        received_at
    from validated_metrics
    where
        metric_date >= cast(:start_date as date)
        and metric_date < cast(:end_date as date)
        and rejection_reason is null
        and not is_superseded
),

present as (
    select
        metric_date,
        experiment_id,
        variant_name,
        impressions,
        clicks,
        source_file,
        received_at
    from daily_metrics
    where
        metric_date >= cast(:start_date as date)
        and metric_date < cast(:end_date as date)
),

missing as (
    select * from expected
    except
    select * from present
),

surplus as (
    select * from present
    except
    select * from expected
)

select metric_date
from (
    select metric_date from missing
    union
    select metric_date from surplus
) as differing
where
    metric_date not in (
        select inbox_files.metric_date
        from inbox_files
        left join (
            select distinct source_file
            from raw_metrics
            where
                metric_date >= cast(:start_date as date)
                and metric_date < cast(:end_date as date)
        ) as loaded
            on inbox_files.source_file = loaded.source_file
        where
            inbox_files.metric_date >= cast(:start_date as date)
            and inbox_files.metric_date < cast(:end_date as date)
            and inbox_files.error is null
            and inbox_files.row_count > 0
            and loaded.source_file is null
    )
order by metric_date;
