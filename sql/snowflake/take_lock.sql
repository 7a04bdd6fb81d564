-- Purpose: make a transaction the only writing one: Snowflake locks the row until it has ended, and
--          other transactions that update the row wait.
-- Note:    an insert locks nothing there, so without this two runs of one day could both find
--          nothing to delete, and both insert.
-- Parameters: :holder token of the transaction, :taken_at time
update writer_lock
set
    holder = :holder,
    taken_at = :taken_at
where true;
