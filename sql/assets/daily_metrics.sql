-- Purpose: the accepted counts of some days, replacing the earlier ones.
-- Grain:   metric_date, experiment_id, variant_name
-- Inputs:  validated_metrics, inbox_files, raw_metrics
-- Note:    a day of which raw_metrics lacks a file that counted stays as it is: its rows were pruned
--          or its files are gone, and nothing else holds their counts (docs/adr/0017).
-- Parameters: :start_date first day, :end_date day after the last
delete from daily_metrics
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date)
    and metric_date not in (
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
    );

insert into daily_metrics (
    metric_date, experiment_id, variant_name, impressions, clicks, source_file, received_at
)
select
    metric_date,
    experiment_id,
    variant_name,
    impressions_count,
    clicks_count,
    source_file,
    received_at
from validated_metrics
where
    metric_date >= cast(:start_date as date)
    and metric_date < cast(:end_date as date)
    and metric_date not in (
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
    and rejection_reason is null
    and not is_superseded;
