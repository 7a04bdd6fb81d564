-- Purpose: the accepted counts of the experiments that a run published or held back, of some days, and
--          the first day on which each ever had impressions. An earlier analysis knows a first day
--          that lies before these days; all of history is read only for an experiment with counts and
--          without one: once.
-- Grain:   experiment_id, metric_date, variant_name
-- Inputs:  publications, publication_holds, analysis, daily_metrics
-- Parameters: :run_id, :start_date first day, :end_date day after the last, :as_of_date first day that
--          is analysed
with judged as (
    select experiment_id
    from publications
    where run_id = :run_id
    union
    select experiment_id
    from publication_holds
    where run_id = :run_id
),

analysed as (
    select
        analysis.experiment_id,
        analysis.first_date
    from analysis
    inner join judged on analysis.experiment_id = judged.experiment_id
    where
        analysis.as_of_date >= cast(:start_date as date)
        and analysis.as_of_date < cast(:as_of_date as date)
        and analysis.first_date is not null
    qualify row_number() over (
        partition by analysis.experiment_id
        order by analysis.as_of_date desc nulls last, analysis.analysed_at desc nulls last
    ) = 1
),

unknown as (
    select judged.experiment_id
    from judged
    left join analysed on judged.experiment_id = analysed.experiment_id
    where
        analysed.experiment_id is null
        and judged.experiment_id in (
            select daily_metrics.experiment_id
            from daily_metrics
            where
                daily_metrics.metric_date >= cast(:start_date as date)
                and daily_metrics.metric_date < cast(:end_date as date)
                and daily_metrics.impressions > 0
        )
),

older as (
    select
        experiment_id,
        first_date
    from analysed
    where first_date < cast(:start_date as date)
    union all
    select
        daily_metrics.experiment_id,
        min(daily_metrics.metric_date) as first_date
    from daily_metrics
    inner join unknown on daily_metrics.experiment_id = unknown.experiment_id
    where
        daily_metrics.metric_date < cast(:start_date as date)
        and daily_metrics.impressions > 0
    group by daily_metrics.experiment_id
)

select
    daily_metrics.experiment_id,
    daily_metrics.metric_date,
    daily_metrics.variant_name,
    daily_metrics.impressions,
    daily_metrics.clicks,
    coalesce(
        older.first_date, min(daily_metrics.metric_date) over (partition by daily_metrics.experiment_id)
    ) as first_date
from daily_metrics
inner join judged on daily_metrics.experiment_id = judged.experiment_id
left join older on daily_metrics.experiment_id = older.experiment_id
where
    daily_metrics.metric_date >= cast(:start_date as date)
    and daily_metrics.metric_date < cast(:end_date as date)
    and daily_metrics.impressions > 0
order by daily_metrics.experiment_id, daily_metrics.metric_date, daily_metrics.variant_name;
