-- Purpose: the tables that Snowflake needs besides 02_create_tables.sql; running it again changes nothing.
-- Run by:  `mab init`, or by hand after 02_create_tables.sql. Not for DuckDB, which has a file lock
--          for the first table and a pointer file for the second.

-- One row; the transaction that updates it is the only one that writes (docs/adr/0010).
create table if not exists writer_lock (
    holder varchar not null,
    taken_at timestamp not null
);

insert into writer_lock (holder, taken_at)
select
    'nobody' as holder,
    timestamp '1970-01-01 00:00:00' as taken_at
where not exists (select 1 from writer_lock);

-- The version that readers get: the newest; append-only.
create table if not exists published_versions (
    version bigint not null,
    published_at timestamp not null
);

create view if not exists served_versions as
select version
from published_versions;
