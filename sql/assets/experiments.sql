-- Purpose: delete the registry, which is folded again from every event file.
-- Then:    the rows are loaded in the same transaction (mab_pipeline/assets/experiments.py).
delete from experiments
where true;

delete from variants
where true;
