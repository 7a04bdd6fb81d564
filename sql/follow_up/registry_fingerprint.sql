-- Purpose: the fingerprint of the registry.
-- Inputs:  registry_fingerprint
select fingerprint
from registry_fingerprint;
