-- Purpose: experiments with more than a share of their impressions rejected up to one as-of day; the
--          rule would compare the remaining ones (docs/adr/0018).
-- Grain:   experiment_id, variant_name: the 20 names with the most rejected impressions
-- Inputs:  windowed_aggregates, variants, experiments, validated_metrics, daily_metrics, publications,
--          allocations
-- Judged:  the :gap_days days up to :as_of_date on which the experiment ran
-- Parameters: :as_of_date, :gap_days, :max_rejected_share 0 to 1, :gap_impressions as in
--          publication_silent_variants.sql, with which it shares its steps up to shares
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

-- The last row of each name that was rejected; 2^53 impressions or more count as unreadable.
rejected as (
    select
        validated_metrics.metric_date,
        validated_metrics.experiment_id,
        validated_metrics.variant_name,
        validated_metrics.received_at,
        validated_metrics.source_file,
        validated_metrics.rejection_reason,
        case
            when validated_metrics.impressions_count < 9007199254740992
                then cast(validated_metrics.impressions_count as double)
        end as impressions
    from validated_metrics
    inner join ran
        on
            validated_metrics.experiment_id = ran.experiment_id
            and validated_metrics.metric_date >= ran.valid_from_date
            and validated_metrics.metric_date < ran.valid_to_date
    where
        validated_metrics.metric_date > cast(:as_of_date as date) - :gap_days
        and validated_metrics.metric_date <= cast(:as_of_date as date)
        and validated_metrics.rejection_reason is not null
    qualify row_number() over (
        partition by
            validated_metrics.metric_date,
            validated_metrics.experiment_id,
            validated_metrics.variant_name
        order by
            validated_metrics.received_at desc nulls last,
            validated_metrics.source_file desc nulls last,
            validated_metrics.row_number desc nulls last
    ) = 1
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
        and experiment_id in (select experiment_id from rejected)
    qualify row_number() over (
        partition by
            experiment_id,
            case when as_of_date >= cast(:as_of_date as date) - :gap_days then as_of_date end
        order by was_live desc nulls last, as_of_date desc nulls last, published_at desc nulls last
    ) = 1
),

served as (
    select
        rejected.metric_date,
        rejected.experiment_id,
        history.as_of_date,
        history.allocation_id
    from rejected
    inner join history
        on
            rejected.experiment_id = history.experiment_id
            and rejected.metric_date > history.as_of_date
    qualify row_number() over (
        partition by rejected.experiment_id, rejected.metric_date
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

-- Days on which a variant that was promised impressions has none.
incomplete_days as (
    select distinct
        totals.metric_date,
        totals.experiment_id
    from totals
    inner join shares
        on
            totals.metric_date = shares.metric_date
            and totals.experiment_id = shares.experiment_id
            and shares.hundredths > 0
            and totals.impressions * shares.hundredths >= cast(:gap_impressions as double) * 10000
    inner join running
        on
            shares.experiment_id = running.experiment_id
            and shares.variant_name = running.variant_name
    left join accepted
        on
            shares.metric_date = accepted.metric_date
            and shares.experiment_id = accepted.experiment_id
            and shares.variant_name = accepted.variant_name
    where accepted.variant_name is null
),

-- A later file corrects an unknown name if it leaves no such variant without impressions.
corrected as (
    select distinct
        rejected.metric_date,
        rejected.experiment_id
    from rejected
    inner join accepted
        on
            rejected.metric_date = accepted.metric_date
            and rejected.experiment_id = accepted.experiment_id
            and (
                accepted.received_at > rejected.received_at
                or (
                    accepted.received_at = rejected.received_at
                    and accepted.source_file > rejected.source_file
                )
            )
    left join incomplete_days
        on
            rejected.metric_date = incomplete_days.metric_date
            and rejected.experiment_id = incomplete_days.experiment_id
    where incomplete_days.experiment_id is null
),

last_retirements as (
    select
        experiment_id,
        max(valid_from_date) as retired_since
    from variants
    where status = 'retired' and valid_from_date <= cast(:as_of_date as date) + 1
    group by experiment_id
),

-- An unknown name counts until it is registered, a variant is retired in its place, or the day is
-- corrected; bad counts do until the same variant has good ones, or is retired.
unsettled as (
    select
        rejected.metric_date,
        rejected.experiment_id,
        rejected.variant_name,
        rejected.rejection_reason,
        rejected.impressions,
        shares.hundredths
    from rejected
    left join variants
        on
            rejected.experiment_id = variants.experiment_id
            and rejected.variant_name = variants.variant_name
            and variants.valid_from_date <= cast(:as_of_date as date) + 1
            and variants.valid_to_date > cast(:as_of_date as date) + 1
    left join last_retirements on rejected.experiment_id = last_retirements.experiment_id
    left join corrected
        on
            rejected.metric_date = corrected.metric_date
            and rejected.experiment_id = corrected.experiment_id
    left join daily_metrics as good
        on
            rejected.metric_date = good.metric_date
            and rejected.experiment_id = good.experiment_id
            and rejected.variant_name = good.variant_name
    left join shares
        on
            rejected.metric_date = shares.metric_date
            and rejected.experiment_id = shares.experiment_id
            and rejected.variant_name = shares.variant_name
    where
        case
            when rejected.rejection_reason = 'unknown_variant'
                then
                    variants.variant_name is null
                    and corrected.experiment_id is null
                    and coalesce(last_retirements.retired_since <= rejected.metric_date, true)
            else
                variants.status = 'active'
                and (
                    good.received_at is null
                    or good.received_at < rejected.received_at
                    or (
                        good.received_at = rejected.received_at
                        and good.source_file < rejected.source_file
                    )
                )
        end
),

accepted_sums as (
    select
        experiment_id,
        sum(row_count) as row_count,
        sum(impressions) as impressions
    from totals
    group by experiment_id
),

-- A row with unreadable impressions counts as many as its share of that day's traffic would give,
-- and without such a share, as many as the average accepted row of the experiment.
names as (
    select
        unsettled.experiment_id,
        coalesce(unsettled.variant_name, '') as variant_name,
        min(unsettled.rejection_reason) as rejection_reason,
        sum(
            coalesce(
                unsettled.impressions,
                totals.impressions * unsettled.hundredths / nullif(10000 - unsettled.hundredths, 0),
                accepted_sums.impressions / nullif(accepted_sums.row_count, 0),
                1
            )
        ) as impressions
    from unsettled
    left join totals
        on
            unsettled.metric_date = totals.metric_date
            and unsettled.experiment_id = totals.experiment_id
    left join accepted_sums on unsettled.experiment_id = accepted_sums.experiment_id
    group by unsettled.experiment_id, coalesce(unsettled.variant_name, '')
),

ranked as (
    select
        names.*,
        sum(impressions) over (partition by experiment_id) as rejected_impressions,
        row_number() over (
            partition by experiment_id
            order by impressions desc nulls last, variant_name
        ) as place
    from names
    where impressions > 0
)

-- 0.29 of 100 is 28.999999999999996 in binary: the factor keeps 29 within it.
select
    ranked.experiment_id,
    ranked.variant_name,
    ranked.rejection_reason,
    cast(ranked.impressions as double) as impressions,
    cast(ranked.rejected_impressions as double) as rejected_impressions,
    cast(ranked.rejected_impressions + coalesce(accepted_sums.impressions, 0) as double)
        as all_impressions
from ranked
left join accepted_sums on ranked.experiment_id = accepted_sums.experiment_id
where
    ranked.place <= 20
    and ranked.rejected_impressions
    > (ranked.rejected_impressions + coalesce(accepted_sums.impressions, 0))
    * cast(:max_rejected_share as double) * 1.000000000001
order by ranked.experiment_id, ranked.place;
