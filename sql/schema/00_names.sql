-- Purpose: the names of Snowflake's objects, for running the files of this folder by hand in order:
--            snow sql -f 00_names.sql -f 01_create_schema.sql -f 02_create_tables.sql
--              -f 02_add_columns.sql -f 02_create_tables_snowflake.sql -f 02_fill_current.sql
--              -f 02_create_views.sql -f 02_create_fingerprints.sql -f 02_create_served_views.sql
--              -f 02_create_monthly_views.sql -f 03_grants.sql
--          in one session, as ACCOUNTADMIN or as a user with both roles. `mab init` does not read
--          this file: it sets the same variables from SNOWFLAKE_DATABASE, SNOWFLAKE_SCHEMA,
--          SNOWFLAKE_WAREHOUSE and SNOWFLAKE_ROLE.
set mab_database = 'MAB';

set mab_schema = 'ALLOCATION';

set mab_warehouse = 'MAB_WH';

-- Who owns the objects, and who owns the three roles.
set mab_owner = 'SYSADMIN';

set mab_role_admin = 'USERADMIN';

-- A `timestamp` of the files has no time zone; an account may have another default.
alter session set timestamp_type_mapping = 'TIMESTAMP_NTZ';
