-- Purpose: the one row of writer_lock, where it is missing.
-- Parameters: :taken_at time
insert into writer_lock (holder, taken_at)
select
    'nobody' as holder,
    cast(:taken_at as timestamp) as taken_at
where not exists (select 1 from writer_lock);
