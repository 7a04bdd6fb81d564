-- Purpose: the rights of each role on Snowflake, and no others; running it again changes nothing.
-- Run by:  `mab init`, or by hand after the 02 files in the same session. Not for DuckDB.
-- Roles:   MAB_PIPELINE writes rows and defines nothing but its session's temporary stage; MAB_API
--          reads the data that it serves; MAB_ANALYST reads everything.
grant usage on warehouse identifier($mab_warehouse) to role mab_pipeline;

grant usage on warehouse identifier($mab_warehouse) to role mab_api;

grant usage on warehouse identifier($mab_warehouse) to role mab_analyst;

grant usage on database identifier($mab_database) to role mab_pipeline;

grant usage on database identifier($mab_database) to role mab_api;

grant usage on database identifier($mab_database) to role mab_analyst;

grant usage on schema identifier($mab_schema) to role mab_pipeline;

grant usage on schema identifier($mab_schema) to role mab_api;

grant usage on schema identifier($mab_schema) to role mab_analyst;

grant create stage on schema identifier($mab_schema) to role mab_pipeline;

grant select, insert, update, delete on all tables in schema identifier($mab_schema) to role mab_pipeline;

grant select on all views in schema identifier($mab_schema) to role mab_pipeline;

grant select on all tables in schema identifier($mab_schema) to role mab_analyst;

grant select on all views in schema identifier($mab_schema) to role mab_analyst;

-- The data served over HTTP, and no table; a test compares it with the inputs of sql/serving.
grant select on view served_versions to role mab_api;

grant select on view served_publications to role mab_api;

grant select on view served_holds to role mab_api;

grant select on view served_allocations to role mab_api;

grant select on view served_experiments to role mab_api;

grant select on view served_variants to role mab_api;

grant select on view served_metrics to role mab_api;

grant select on view served_analysis to role mab_api;

-- An administrator sees the objects of the roles.
grant role mab_pipeline to role sysadmin;

grant role mab_api to role sysadmin;

grant role mab_analyst to role sysadmin;
