-- Purpose: drop old decisions that a later one replaced and that were never published. Published
--          ones stay, and so does the newest one, which the gate may have held back.
-- Parameters: :cutoff_date first day that stays
delete from allocations
where
    as_of_date < cast(:cutoff_date as date)
    and computed_at < cast(:cutoff_date as timestamp)
    and allocation_id not in (select allocation_id from publications)
    and allocation_id not in (
        select allocation_id
        from allocations
        where as_of_date < cast(:cutoff_date as date)
        qualify rank() over (
            partition by as_of_date, experiment_id
            order by computed_at desc nulls last
        ) = 1
    );
