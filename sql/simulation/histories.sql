-- Purpose: the accepted counts of all experiments, for `mab backtest`; the control comes first.
-- Grain:   experiment_id, variant_name, metric_date
-- Inputs:  served_metrics, served_experiments, served_variants
-- Parameters: :from_date and :to_date, first and last day, or null
with names as (
    select distinct
        experiment_id,
        experiment_name
    from served_experiments
),

places as (
    select
        experiment_id,
        variant_name,
        min(case when is_control then 0 else 1 end) as is_other,
        min(position) as place
    from served_variants
    group by experiment_id, variant_name
)

select
    served_metrics.experiment_id,
    names.experiment_name,
    served_metrics.variant_name,
    served_metrics.metric_date,
    served_metrics.impressions,
    served_metrics.clicks
from served_metrics
inner join names on served_metrics.experiment_id = names.experiment_id
inner join places
    on
        served_metrics.experiment_id = places.experiment_id
        and served_metrics.variant_name = places.variant_name
where
    served_metrics.metric_date >= coalesce(cast(:from_date as date), served_metrics.metric_date)
    and served_metrics.metric_date <= coalesce(cast(:to_date as date), served_metrics.metric_date)
order by
    names.experiment_name, served_metrics.experiment_id, places.is_other, places.place,
    served_metrics.variant_name, served_metrics.metric_date;
