-- Purpose: the columns that tables of an older warehouse lack; in a new one nothing changes.
-- Run by:  `mab init` and the first transaction of a run, after 02_create_tables.sql.
alter table experiments add column if not exists decision varchar;
alter table analysis add column if not exists first_date date;
alter table allocations add column if not exists impressions_since_joined bigint;
