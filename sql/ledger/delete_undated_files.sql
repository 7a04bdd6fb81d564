-- Purpose: delete the ledger rows of files that belong to no day, before they are loaded.
-- Parameters: :prefix pattern of the names, such as 'experiments/%'
delete from inbox_files
where metric_date is null and source_file like :prefix;
