-- Purpose: database, schema, virtual warehouse and roles on Snowflake; running it again changes nothing.
-- Run by:  `mab init`, or by hand after 00_names.sql. Not for DuckDB.
-- Owners:  SYSADMIN owns the objects and USERADMIN the roles; ACCOUNTADMIN, which may take both,
--          owns nothing.
-- Names:   session variables; a name cannot be bound like a value (mab_store/warehouse/snowflake/schema_setup.py).
-- Cost:    the warehouse stops after a minute without a statement and starts again by itself.
use role identifier($mab_owner);

create warehouse if not exists identifier($mab_warehouse)
    warehouse_size = 'XSMALL'
    auto_suspend = 60
    auto_resume = true
    initially_suspended = true;

use warehouse identifier($mab_warehouse);

create database if not exists identifier($mab_database);

use database identifier($mab_database);

create schema if not exists identifier($mab_schema);

use schema identifier($mab_schema);

use role identifier($mab_role_admin);

create role if not exists mab_pipeline;

create role if not exists mab_api;

create role if not exists mab_analyst;

use role identifier($mab_owner);
