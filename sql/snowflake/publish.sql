-- Purpose: move readers' pointer to the next version.
-- Parameters: :published_at time
insert into published_versions (version, published_at)
select
    coalesce(max(version), 0) + 1 as version,
    cast(:published_at as timestamp) as published_at
from published_versions;
