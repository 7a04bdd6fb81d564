-- Purpose: experiments whose variants are judged on different windows; a warning, since the shares
--          then compare different days.
-- Parameters: :start_date first as-of day, :end_date day after the last
select
    as_of_date as day,
    experiment_id || ': its variants use ' || min(data_source) || ' and ' || max(data_source)
        as detail
from windowed_aggregates
where
    as_of_date >= cast(:start_date as date)
    and as_of_date < cast(:end_date as date)
group by as_of_date, experiment_id
having min(data_source) <> max(data_source);
