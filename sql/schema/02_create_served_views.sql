-- Purpose: the served data, which is all that the role MAB_API may read (03_grants.sql): the tables
--          without the pipeline's internal columns (runs, hashes).
-- Run by:  `mab init` and the first transaction of a run, after 02_create_tables.sql.

-- Publications with their times.
-- Grain: as_of_date, experiment_id, published_at
create or replace view served_publications as
select
    as_of_date,
    experiment_id,
    published_at,
    allocation_id,
    buckets,
    was_live,
    data_through
from publications;

-- The gate's holds.
-- Grain: as_of_date, experiment_id, held_at, reason
create or replace view served_holds as
select
    as_of_date,
    experiment_id,
    held_at,
    reason,
    detail
from publication_holds;

-- Decisions.
-- Grain: as_of_date, experiment_id, variant_name, allocation_id
create or replace view served_allocations as
select
    as_of_date,
    experiment_id,
    variant_name,
    allocation_id,
    effective_date,
    allocation_hundredths,
    alpha,
    beta,
    probability_best,
    window_days,
    data_source,
    impressions,
    clicks,
    algorithm,
    samples,
    seed,
    settings,
    computed_at
from allocations;

-- Experiments with the days on which each row is true.
-- Grain: experiment_id, valid_from_date
create or replace view served_experiments as
select
    experiment_id,
    valid_from_date,
    experiment_name,
    description,
    status,
    start_date,
    created_at,
    valid_to_date,
    decision
from experiments;

-- Variants with the days on which each row is true.
-- Grain: experiment_id, variant_name, valid_from_date
create or replace view served_variants as
select
    experiment_id,
    variant_name,
    valid_from_date,
    is_control,
    position,
    status,
    valid_to_date
from variants;

-- The accepted counts.
-- Grain: metric_date, experiment_id, variant_name
create or replace view served_metrics as
select
    metric_date,
    experiment_id,
    variant_name,
    impressions,
    clicks,
    source_file,
    received_at
from daily_metrics;

-- Received rows with their verdicts.
-- Grain: metric_date, source_file, row_number
create or replace view served_verdicts as
select
    metric_date,
    source_file,
    row_number,
    received_at,
    experiment_id,
    variant_name,
    rejection_reason,
    is_superseded,
    experiment,
    impressions,
    clicks,
    error
from validated_metrics;

-- The sums of both windows.
-- Grain: as_of_date, experiment_id, variant_name
create or replace view served_windows as
select
    as_of_date,
    experiment_id,
    variant_name,
    default_window_impressions,
    max_window_impressions
from windowed_aggregates;

-- Analyses.
-- Grain: as_of_date, experiment_id, analysed_at
create or replace view served_analysis as
select
    as_of_date,
    experiment_id,
    analysed_at,
    allocation_id,
    is_published,
    analysis
from analysis;

-- The newest publication of each experiment.
-- Grain: experiment_id
create or replace view served_current_publications as
select
    experiment_id,
    as_of_date,
    published_at,
    previous_as_of_date,
    previous_allocation_id
from current_publications;

-- The holds that experiments are under.
-- Grain: experiment_id
create or replace view served_current_holds as
select
    experiment_id,
    reason,
    detail
from current_holds;

-- The newest analysis of each experiment.
-- Grain: experiment_id
create or replace view served_current_analyses as
select
    experiment_id,
    as_of_date,
    analysed_at
from current_analyses;
