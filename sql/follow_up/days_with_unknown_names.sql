-- Purpose: the days with files that may name experiments which are not registered: all but those that
--          were found without. is_noted: whether the number of such rows is known.
-- Grain:   metric_date
-- Inputs:  inbox_files, judged_days, registry_fingerprint
with noted as (
    select
        judged_days.metric_date,
        judged_days.unknown_rows
    from judged_days
    inner join registry_fingerprint
        on judged_days.registry_fingerprint = registry_fingerprint.fingerprint
)

select distinct
    inbox_files.metric_date,
    noted.metric_date is not null as is_noted
from inbox_files
left join noted on inbox_files.metric_date = noted.metric_date
where
    inbox_files.metric_date is not null
    and coalesce(noted.unknown_rows, 1) > 0
order by inbox_files.metric_date;
