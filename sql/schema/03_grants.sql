-- Purpose: the rights of each role on Snowflake, and no others; running it again changes nothing.
-- Run by:  `mab init`, or by hand after the 02 files in the same session. Not for DuckDB.
-- Roles:   MAB_PIPELINE reads everything, adds rows, deletes rows where a run replaces them or prunes,
--          and defines nothing; MAB_API reads the data that it serves; MAB_ANALYST reads everything.
--          A test compares the rights of MAB_PIPELINE with the statements of sql/.
grant usage on warehouse identifier($mab_warehouse) to role mab_pipeline;

grant usage on warehouse identifier($mab_warehouse) to role mab_api;

grant usage on warehouse identifier($mab_warehouse) to role mab_analyst;

grant usage on database identifier($mab_database) to role mab_pipeline;

grant usage on database identifier($mab_database) to role mab_api;

grant usage on database identifier($mab_database) to role mab_analyst;

grant usage on schema identifier($mab_schema) to role mab_pipeline;

grant usage on schema identifier($mab_schema) to role mab_api;

grant usage on schema identifier($mab_schema) to role mab_analyst;

grant select on all tables in schema identifier($mab_schema) to role mab_pipeline;

grant insert on table experiments to role mab_pipeline;

grant insert on table variants to role mab_pipeline;

grant insert on table inbox_files to role mab_pipeline;

grant insert on table raw_metrics to role mab_pipeline;

grant insert on table daily_metrics to role mab_pipeline;

grant insert on table judged_days to role mab_pipeline;

grant insert on table windowed_aggregates to role mab_pipeline;

grant insert on table allocations to role mab_pipeline;

grant insert on table publications to role mab_pipeline;

grant insert on table publication_holds to role mab_pipeline;

grant insert on table analysis to role mab_pipeline;

grant insert on table current_publications to role mab_pipeline;

grant insert on table current_holds to role mab_pipeline;

grant insert on table current_analyses to role mab_pipeline;

grant insert on table published_versions to role mab_pipeline;

grant delete on table experiments to role mab_pipeline;

grant delete on table variants to role mab_pipeline;

grant delete on table inbox_files to role mab_pipeline;

grant delete on table raw_metrics to role mab_pipeline;

grant delete on table daily_metrics to role mab_pipeline;

grant delete on table judged_days to role mab_pipeline;

grant delete on table windowed_aggregates to role mab_pipeline;

grant delete on table allocations to role mab_pipeline;

grant delete on table current_publications to role mab_pipeline;

grant delete on table current_holds to role mab_pipeline;

grant delete on table current_analyses to role mab_pipeline;

grant update on table writer_lock to role mab_pipeline;

grant update on table judged_days to role mab_pipeline;

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

grant select on view served_verdicts to role mab_api;

grant select on view served_windows to role mab_api;

grant select on view served_analysis to role mab_api;

grant select on view served_current_publications to role mab_api;

grant select on view served_current_holds to role mab_api;

grant select on view served_current_analyses to role mab_api;

grant select on view served_published_months to role mab_api;

grant select on view served_observed_months to role mab_api;

-- What earlier versions granted and no statement needs.
revoke create stage on schema identifier($mab_schema) from role mab_pipeline;

revoke insert, delete on table writer_lock from role mab_pipeline;

revoke update on table experiments from role mab_pipeline;

revoke update on table variants from role mab_pipeline;

revoke update on table inbox_files from role mab_pipeline;

revoke update on table raw_metrics from role mab_pipeline;

revoke update on table daily_metrics from role mab_pipeline;

revoke update on table windowed_aggregates from role mab_pipeline;

revoke update on table allocations from role mab_pipeline;

revoke update, delete on table publications from role mab_pipeline;

revoke update, delete on table publication_holds from role mab_pipeline;

revoke update, delete on table analysis from role mab_pipeline;

revoke update, delete on table published_versions from role mab_pipeline;

use role identifier($mab_role_admin);

-- An administrator sees the objects of the roles.
grant role mab_pipeline to role sysadmin;

grant role mab_api to role sysadmin;

grant role mab_analyst to role sysadmin;

use role identifier($mab_owner);
