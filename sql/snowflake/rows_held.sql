-- Purpose: the rows of the journaled tables, to know whether a schema is empty.
select
    (select count(*) from inbox_files) + (select count(*) from allocations)
    + (select count(*) from publications) + (select count(*) from publication_holds)
    + (select count(*) from analysis) + (select count(*) from raw_metrics) as row_count;
