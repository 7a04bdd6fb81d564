-- Purpose: make a transaction the only writing one: Snowflake holds the row until it has ended, and
--          whoever updates it too waits.
-- Note:    an insert locks nothing there, so two runs of one day could else both find nothing to
--          delete and both insert.
-- Parameters: :holder token of the transaction, :taken_at time
update writer_lock
set
    holder = :holder,
    taken_at = :taken_at
where true;
