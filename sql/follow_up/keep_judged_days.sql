-- Purpose: carry the judged days over to a new registry that gives none of their rows another verdict.
-- Parameters: :registry_fingerprint of the registry before
update judged_days
set registry_fingerprint = (select fingerprint from registry_fingerprint)
where registry_fingerprint = :registry_fingerprint;
