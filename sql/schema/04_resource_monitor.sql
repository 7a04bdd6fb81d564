-- Purpose: a limit of 30 credits a month for the virtual warehouse; running it again changes nothing.
-- Run by:  hand, after 00_names.sql, as ACCOUNTADMIN: no other role may. `mab init` does not, since
--          the number is yours to choose. Not for DuckDB.
-- Effect:  a mail at 80 %; at 100 % the warehouse finishes its statements and stops until the month
--          ends. The API then keeps its last answers, and a run fails with a sentence that says so.
use role accountadmin;

create resource monitor if not exists mab_monitor
with
    credit_quota = 30
    frequency = monthly
    start_timestamp = immediately
    triggers
        on 80 percent do notify
        on 100 percent do suspend;

alter warehouse identifier($mab_warehouse) set resource_monitor = mab_monitor;
