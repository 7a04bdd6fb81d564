-- Purpose: variants that fell silent: on one as-of day they run, the served shares promised them
--          impressions, and they have none, while the other variants do (docs/adr/0018).
-- Grain:   experiment_id, variant_name
-- Inputs:  windowed_aggregates, variants, experiments, daily_metrics, publications, allocations
-- Judged:  the :gap_days days up to :as_of_date on which the experiment ran and had the variant
-- Parameters: :as_of_date, :gap_days, :gap_impressions how many must have been promised; 0: none is
--          found. A variant whose share was 0 was promised none.
-- Note:    sums are doubles: 2^53 impressions times 10000 hundredths do not fit a bigint.
with running as (
    select
        windowed_aggregates.experiment_id,
        windowed_aggregates.variant_name,
        variants.valid_from_date as active_since
    from windowed_aggregates
    inner join variants
        on
            windowed_aggregates.experiment_id = variants.experiment_id
            and windowed_aggregates.variant_name = variants.variant_name
            and variants.valid_from_date <= windowed_aggregates.as_of_date + 1
            and variants.valid_to_date > windowed_aggregates.as_of_date + 1
    where windowed_aggregates.as_of_date = cast(:as_of_date as date)
),

ran as (
    select
        experiment_id,
        valid_from_date,
        valid_to_date
    from experiments
    where status = 'running' and experiment_id in (select experiment_id from running)
),

accepted as (
    select
        daily_metrics.metric_date,
        daily_metrics.experiment_id,
        daily_metrics.variant_name,
        daily_metrics.impressions,
        daily_metrics.received_at,
        daily_metrics.source_file
    from daily_metrics
    inner join ran
        on
            daily_metrics.experiment_id = ran.experiment_id
            and daily_metrics.metric_date >= ran.valid_from_date
            and daily_metrics.metric_date < ran.valid_to_date
    where
        daily_metrics.metric_date > cast(:as_of_date as date) - :gap_days
        and daily_metrics.metric_date <= cast(:as_of_date as date)
        and daily_metrics.impressions > 0
),

totals as (
    select
        metric_date,
        experiment_id,
        count(*) as row_count,
        sum(cast(impressions as double)) as impressions
    from accepted
    group by metric_date, experiment_id
),

silent as (
    select
        running.experiment_id,
        running.variant_name,
        running.active_since
    from running
    left join accepted
        on
            running.experiment_id = accepted.experiment_id
            and running.variant_name = accepted.variant_name
    where
        accepted.variant_name is null
        and running.experiment_id in (select experiment_id from totals)
),

-- The publication that readers got on each day: the newest one of an earlier as-of day. One that
-- was published after its effective date was never served; it counts only if no other one was.
history as (
    select
        experiment_id,
        as_of_date,
        allocation_id,
        was_live
    from publications
    where
        as_of_date < cast(:as_of_date as date)
        and experiment_id in (select experiment_id from silent)
    qualify row_number() over (
        partition by
            experiment_id,
            case when as_of_date >= cast(:as_of_date as date) - :gap_days then as_of_date end
        order by was_live desc nulls last, as_of_date desc nulls last, published_at desc nulls last
    ) = 1
),

served as (
    select
        totals.metric_date,
        totals.experiment_id,
        history.as_of_date,
        history.allocation_id
    from totals
    inner join history
        on
            totals.experiment_id = history.experiment_id
            and totals.metric_date > history.as_of_date
    qualify row_number() over (
        partition by totals.experiment_id, totals.metric_date
        order by history.was_live desc nulls last, history.as_of_date desc nulls last
    ) = 1
),

shares as (
    select
        served.metric_date,
        served.experiment_id,
        allocations.variant_name,
        allocations.allocation_hundredths as hundredths
    from served
    inner join allocations
        on
            served.experiment_id = allocations.experiment_id
            and served.as_of_date = allocations.as_of_date
            and served.allocation_id = allocations.allocation_id
),

promised as (
    select
        silent.experiment_id,
        silent.variant_name,
        sum(totals.impressions * shares.hundredths) as hundredths
    from silent
    inner join totals
        on
            silent.experiment_id = totals.experiment_id
            and silent.active_since <= totals.metric_date
    inner join shares
        on
            silent.experiment_id = shares.experiment_id
            and silent.variant_name = shares.variant_name
            and totals.metric_date = shares.metric_date
    group by silent.experiment_id, silent.variant_name
)

select
    experiment_id,
    variant_name,
    cast(hundredths / 10000 as double) as impressions
from promised
where
    cast(:gap_impressions as bigint) > 0
    and hundredths >= cast(:gap_impressions as double) * 10000
order by experiment_id, variant_name;
