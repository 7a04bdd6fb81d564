-- Purpose: validated_metrics, the only judge of received rows.
-- Run by:  `mab init` and the first transaction of a run, after 02_create_tables.sql.
-- Counts are text until they are proven integers: only ASCII digits, below 2^53. A cast never
-- decides (both engines would silently round '1.5' or accept '1e3').

-- Every row of raw_metrics with its verdict: a good row has no rejection_reason; among the good rows of one variant and day all but the last received are superseded.
-- Grain: metric_date, source_file, row_number
create or replace view validated_metrics as
with registered as (
    -- One row per experiment: the registration is true from the beginning of time.
    select
        experiment_id,
        experiment_name
    from experiments
    where valid_from_date = date '1900-01-01'
),

named as (
    select
        raw.*,
        coalesce(by_id.experiment_id, by_name.experiment_id) as experiment_id
    from raw_metrics as raw
    left join registered as by_id on raw.experiment = by_id.experiment_id
    left join registered as by_name on raw.experiment = by_name.experiment_name
),

-- Digits alone, digits behind a minus sign, or something else.
recognised as (
    select
        named.*,
        variants.variant_name is not null as is_known_variant,
        coalesce(
            named.impressions <> '' and translate(named.impressions, '0123456789', '') = '', false
        ) as has_impressions,
        coalesce(
            named.clicks <> '' and translate(named.clicks, '0123456789', '') = '', false
        ) as has_clicks,
        coalesce(
            named.impressions like '-_%'
            and translate(substr(named.impressions, 2), '0123456789', '') = '', false
        ) as has_negative_impressions,
        coalesce(
            named.clicks like '-_%'
            and translate(substr(named.clicks, 2), '0123456789', '') = '', false
        ) as has_negative_clicks
    from named
    left join variants
        on
            named.experiment_id = variants.experiment_id
            and named.variant_name = variants.variant_name
            and named.metric_date >= variants.valid_from_date
            and named.metric_date < variants.valid_to_date
),

-- 2^53 has 16 digits: longer numbers are not cast at all.
counted as (
    select
        recognised.*,
        try_cast(
            case
                when has_impressions and length(ltrim(impressions, '0')) <= 16 then impressions
            end as bigint
        ) as impressions_count,
        try_cast(
            case when has_clicks and length(ltrim(clicks, '0')) <= 16 then clicks end as bigint
        ) as clicks_count
    from recognised
),

judged as (
    select
        counted.*,
        case
            when error is not null then 'unreadable_file'
            when experiment_id is null then 'unknown_experiment'
            when not is_known_variant then 'unknown_variant'
            when
                not (has_impressions or has_negative_impressions)
                or not (has_clicks or has_negative_clicks)
                then 'not_an_integer'
            when
                (has_impressions and coalesce(impressions_count, 9007199254740992) >= 9007199254740992)
                or (has_clicks and coalesce(clicks_count, 9007199254740992) >= 9007199254740992)
                then 'too_large'
            when has_negative_impressions or has_negative_clicks then 'negative'
            when clicks_count > impressions_count then 'clicks_exceed_impressions'
        end as rejection_reason
    from counted
),

ranked as (
    select
        judged.*,
        row_number() over (
            partition by
                metric_date, experiment_id, variant_name,
                case when rejection_reason is null then 0 else 1 end
            order by received_at desc nulls last, source_file desc nulls last, row_number desc nulls last
        ) as recency
    from judged
)

select
    metric_date,
    source_file,
    row_number,
    submission_id,
    received_at,
    experiment,
    variant_name,
    impressions,
    clicks,
    error,
    experiment_id,
    impressions_count,
    clicks_count,
    rejection_reason,
    rejection_reason is null and recency > 1 as is_superseded
from ranked;
