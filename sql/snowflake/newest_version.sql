-- Purpose: the version that readers get; null if nothing was published. Snowflake answers the maximum
--          of an integer column from its metadata: polling it wakes no virtual warehouse.
select max(version) as version
from served_versions;
