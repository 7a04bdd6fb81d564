-- Purpose: the days on which daily_metrics is not what raw_metrics and the registry give now:
--          a late file, a late registration, or a run that was killed between the two tables.
-- Grain:   metric_date
-- Inputs:  validated_metrics, daily_metrics
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

select metric_date from missing
union
select metric_date from surplus
order by metric_date;
