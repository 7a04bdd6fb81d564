-- Purpose: counts by experiment and month, of which a reader adds up a few rows where it would
--          count all of history. A published copy holds them as rows (docs/adr/0034).
-- Run by:  `mab init` and the first transaction of a run, after 02_create_served_views.sql.

-- How far publications reach in a month.
-- Grain: experiment_id, month
create or replace view served_published_months as
select
    experiment_id,
    cast(date_trunc('month', as_of_date) as date) as month,
    max(as_of_date) as newest_day,
    count(distinct as_of_date) as day_count
from publications
group by experiment_id, cast(date_trunc('month', as_of_date) as date);

-- The accepted counts of a month.
-- Grain: experiment_id, month
create or replace view served_observed_months as
select
    experiment_id,
    cast(date_trunc('month', metric_date) as date) as month,
    count(distinct metric_date) as day_count,
    cast(sum(impressions) as bigint) as impressions
from daily_metrics
group by experiment_id, cast(date_trunc('month', metric_date) as date);
