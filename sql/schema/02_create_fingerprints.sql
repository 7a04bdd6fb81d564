-- Purpose: fingerprints of all that verdicts depend on but the code, to tell whether it changed
--          (docs/adr/0029). Each engine hashes in its own way: compare them within a warehouse only.
-- Run by:  `mab init` and the first transaction of a run, after 02_create_tables.sql.

-- Of each day its rows in the three tables that tell whether daily_metrics is out of date, in any
-- order: their number, and the sum of the last eleven digits of their hashes, which fits a bigint.
-- Grain: metric_date
create or replace view day_fingerprints as
with items as (
    select
        metric_date,
        hash(
            'raw_metrics', source_file, row_number, received_at, experiment, variant_name,
            impressions, clicks, error
        ) as item
    from raw_metrics
    union all
    select
        metric_date,
        hash('inbox_files', source_file, sha256, received_at, row_count, error) as item
    from inbox_files
    union all
    select
        metric_date,
        hash(
            'daily_metrics', experiment_id, variant_name, impressions, clicks, source_file,
            received_at
        ) as item
    from daily_metrics
)

select
    metric_date,
    cast(count(*) as varchar) || ' ' || cast(cast(sum(item % 100000000000) as bigint) as varchar) as fingerprint
from items
group by metric_date;

-- The same of the part of the registry that verdicts depend on.
-- Grain: one row
create or replace view registry_fingerprint as
with items as (
    select hash('experiments', experiment_id, experiment_name) as item
    from experiments
    where valid_from_date = date '1900-01-01'
    union all
    select hash('variants', experiment_id, variant_name, valid_from_date, valid_to_date) as item
    from variants
)

select
    cast(count(*) as varchar) || ' ' || coalesce(cast(cast(sum(item % 100000000000) as bigint) as varchar), '') as fingerprint
from items;
