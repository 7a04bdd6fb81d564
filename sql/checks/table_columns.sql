-- Purpose: the columns that a table has, with their types under the names of 02_create_tables.sql.
-- Parameters: :table_name name in lower case
select
    lower(column_name) as column_name,
    case lower(data_type)
        when 'text' then 'varchar'
        when 'number' then 'bigint'
        when 'float' then 'double'
        when 'timestamp_ntz' then 'timestamp'
        else lower(data_type)
    end as data_type
from information_schema.columns
where
    lower(table_name) = :table_name
    and table_schema = current_schema()
order by ordinal_position;
