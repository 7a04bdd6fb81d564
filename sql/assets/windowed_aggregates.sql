-- Purpose: the rule's inputs for each variant at the end of each as-of day, replacing earlier ones.
-- Grain:   as_of_date, experiment_id, variant_name
-- Inputs:  daily_metrics, experiments, variants
-- Parameters: :start_date first as-of day, :end_date day after the last,
--          :default_window_days, :max_window_days [days], :min_impressions [impressions]
--
-- The same statement serves one day or a year. A day's counts enter both windows on their own day
-- (or, if they are older, on the first as-of day) and leave each window when it has moved past
-- them. The running sum of these moves up to an as-of day is the sum of its window. Each kind of
-- move is summed before they are combined: for a single as-of day nothing leaves, and the result
-- is a plain sum over the last 30 days.
delete from windowed_aggregates
where
    as_of_date >= cast(:start_date as date)
    and as_of_date < cast(:end_date as date);

insert into windowed_aggregates (
    as_of_date, experiment_id, variant_name, window_days, window_start_date, days_observed,
    data_source, impressions, clicks, default_window_impressions, default_window_clicks,
    max_window_impressions, max_window_clicks
)
with recursive as_of_days as (
    select cast(:start_date as date) as as_of_date
    union all
    select as_of_date + 1
    from as_of_days
    where as_of_date + 1 < cast(:end_date as date)
),

-- Only an experiment without a start date that was registered after its first effective day can
-- owe its start to its data: no other experiment's history is read.
first_rows as (
    select
        experiment_id,
        min(metric_date) as first_metric_date
    from daily_metrics
    where experiment_id in (
        select experiment_id
        from experiments
        where start_date is null and cast(created_at as date) > cast(:start_date as date) + 1
    )
    group by experiment_id
),

-- The experiments that run on the day after the as-of day, as of that day.
running as (
    select
        as_of_days.as_of_date,
        variants.experiment_id,
        variants.variant_name
    from as_of_days
    inner join experiments
        on
            experiments.status = 'running'
            and experiments.valid_from_date <= as_of_days.as_of_date + 1
            and experiments.valid_to_date > as_of_days.as_of_date + 1
    inner join variants
        on
            experiments.experiment_id = variants.experiment_id
            and variants.status = 'active'
            and variants.valid_from_date <= as_of_days.as_of_date + 1
            and variants.valid_to_date > as_of_days.as_of_date + 1
    left join first_rows on experiments.experiment_id = first_rows.experiment_id
    where
        case
            when experiments.start_date is not null
                then experiments.start_date <= as_of_days.as_of_date + 1
            else
                cast(experiments.created_at as date) <= as_of_days.as_of_date + 1
                or coalesce(first_rows.first_metric_date <= as_of_days.as_of_date, false)
        end
),

-- Into the windows; a day older than the default window enters only the maximum window.
seen_days as (
    select
        case
            when metric_date > cast(:start_date as date) then metric_date
            else cast(:start_date as date)
        end as as_of_date,
        experiment_id,
        variant_name,
        metric_date > cast(:start_date as date) - :default_window_days
            as is_in_default,
        impressions,
        clicks
    from daily_metrics
    where
        metric_date > cast(:start_date as date) - :max_window_days
        and metric_date < cast(:end_date as date)
),

entering as (
    select
        as_of_date,
        experiment_id,
        variant_name,
        sum(case when is_in_default then 1 else 0 end) as default_days,
        sum(case when is_in_default then impressions else 0 end) as default_impressions,
        sum(case when is_in_default then clicks else 0 end) as default_clicks,
        count(*) as max_days,
        sum(impressions) as max_impressions,
        sum(clicks) as max_clicks
    from seen_days
    group by as_of_date, experiment_id, variant_name
),

moves as (
    select
        as_of_date,
        experiment_id,
        variant_name,
        0 as is_running,
        default_days,
        default_impressions,
        default_clicks,
        max_days,
        max_impressions,
        max_clicks
    from entering
    union all
    -- Out of the default window.
    select
        metric_date + :default_window_days as as_of_date,
        experiment_id,
        variant_name,
        0 as is_running,
        -1 as default_days,
        -impressions as default_impressions,
        -clicks as default_clicks,
        0 as max_days,
        0 as max_impressions,
        0 as max_clicks
    from daily_metrics
    where
        metric_date > cast(:start_date as date) - :default_window_days
        and metric_date < cast(:end_date as date) - :default_window_days
    union all
    -- Out of the maximum window.
    select
        metric_date + :max_window_days as as_of_date,
        experiment_id,
        variant_name,
        0 as is_running,
        0 as default_days,
        0 as default_impressions,
        0 as default_clicks,
        -1 as max_days,
        -impressions as max_impressions,
        -clicks as max_clicks
    from daily_metrics
    where
        metric_date > cast(:start_date as date) - :max_window_days
        and metric_date < cast(:end_date as date) - :max_window_days
    union all
    -- A variant that runs has a row on every as-of day, even if nothing moves.
    select
        as_of_date,
        experiment_id,
        variant_name,
        1 as is_running,
        0 as default_days,
        0 as default_impressions,
        0 as default_clicks,
        0 as max_days,
        0 as max_impressions,
        0 as max_clicks
    from running
),

day_moves as (
    select
        as_of_date,
        experiment_id,
        variant_name,
        max(is_running) as is_running,
        cast(sum(default_days) as bigint) as default_days,
        cast(sum(default_impressions) as bigint) as default_impressions,
        cast(sum(default_clicks) as bigint) as default_clicks,
        cast(sum(max_days) as bigint) as max_days,
        cast(sum(max_impressions) as bigint) as max_impressions,
        cast(sum(max_clicks) as bigint) as max_clicks
    from moves
    group by as_of_date, experiment_id, variant_name
),

-- Both engines sort once for the six sums; a named window is not in the portable subset.
sums as (
    select
        as_of_date,
        experiment_id,
        variant_name,
        is_running,
        cast(
            sum(default_days) over (
                partition by experiment_id, variant_name
                order by as_of_date
                rows between unbounded preceding and current row
            ) as bigint
        ) as default_days,
        cast(
            sum(default_impressions) over (
                partition by experiment_id, variant_name
                order by as_of_date
                rows between unbounded preceding and current row
            ) as bigint
        ) as default_impressions,
        cast(
            sum(default_clicks) over (
                partition by experiment_id, variant_name
                order by as_of_date
                rows between unbounded preceding and current row
            ) as bigint
        ) as default_clicks,
        cast(
            sum(max_days) over (
                partition by experiment_id, variant_name
                order by as_of_date
                rows between unbounded preceding and current row
            ) as bigint
        ) as max_days,
        cast(
            sum(max_impressions) over (
                partition by experiment_id, variant_name
                order by as_of_date
                rows between unbounded preceding and current row
            ) as bigint
        ) as max_impressions,
        cast(
            sum(max_clicks) over (
                partition by experiment_id, variant_name
                order by as_of_date
                rows between unbounded preceding and current row
            ) as bigint
        ) as max_clicks
    from day_moves
),

sourced as (
    select
        sums.*,
        case
            when default_impressions >= cast(:min_impressions as bigint) then 'default_window'
            when max_impressions >= cast(:min_impressions as bigint) then 'max_window'
            else 'prior'
        end as data_source
    from sums
    where is_running = 1
),

windowed as (
    select
        sourced.*,
        case
            when data_source = 'default_window' then :default_window_days
            else :max_window_days
        end as window_days
    from sourced
)

select
    windowed.as_of_date,
    windowed.experiment_id,
    windowed.variant_name,
    windowed.window_days,
    windowed.as_of_date - windowed.window_days + 1 as window_start_date,
    case
        when windowed.data_source = 'default_window' then windowed.default_days
        else windowed.max_days
    end as days_observed,
    windowed.data_source,
    case
        when windowed.data_source = 'default_window' then windowed.default_impressions
        when windowed.data_source = 'max_window' then windowed.max_impressions
        else 0
    end as impressions,
    case
        when windowed.data_source = 'default_window' then windowed.default_clicks
        when windowed.data_source = 'max_window' then windowed.max_clicks
        else 0
    end as clicks,
    windowed.default_impressions as default_window_impressions,
    windowed.default_clicks as default_window_clicks,
    windowed.max_impressions as max_window_impressions,
    windowed.max_clicks as max_window_clicks
from windowed;
