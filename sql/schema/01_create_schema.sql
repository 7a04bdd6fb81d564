-- Purpose: database, schema, virtual warehouse and roles on Snowflake; running it again changes nothing.
-- Run by:  `mab init`, or by hand after 00_names.sql, with a role that may create all of them
--          (ACCOUNTADMIN has all required rights). Not for DuckDB.
-- Names:   session variables; a name cannot be bound like a value (mab_store/warehouse/snowflake/schema_setup.py).
-- Cost:    the warehouse stops after a minute without a statement and starts again by itself.
create warehouse if not exists identifier($mab_warehouse)
    warehouse_size = 'XSMALL'
    auto_suspend = 60
    auto_resume = true
    initially_suspended = true;

create database if not exists identifier($mab_database);

use database identifier($mab_database);

create schema if not exists identifier($mab_schema);

use schema identifier($mab_schema);

create role if not exists mab_pipeline;

create role if not exists mab_api;

create role if not exists mab_analyst;
