-- Purpose: the ledger's rows for the files of some days, and whether raw_metrics holds them.
-- Grain:   source_file
-- Inputs:  inbox_files, raw_metrics
-- Parameters: :start_date first day, :end_date day after the last
with loaded as (
    select distinct source_file
    from raw_metrics
    where
        metric_date >= cast(:start_date as date)
        and metric_date < cast(:end_date as date)
)

select
    inbox_files.source_file,
    inbox_files.metric_date,
    inbox_files.size_bytes,
    inbox_files.sha256,
    inbox_files.received_at,
    inbox_files.row_count,
    inbox_files.error,
    inbox_files.loaded_at,
    loaded.source_file is not null as has_rows
from inbox_files
left join loaded on inbox_files.source_file = loaded.source_file
where
    inbox_files.metric_date >= cast(:start_date as date)
    and inbox_files.metric_date < cast(:end_date as date)
order by inbox_files.source_file;
