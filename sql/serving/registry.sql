-- Purpose: every experiment with its variants, as they are on a day.
-- Grain:   experiment_id, variant_name
-- Inputs:  served_experiments, served_variants
-- Parameters: :today the day
select
    experiments.experiment_id,
    experiments.experiment_name,
    experiments.description,
    experiments.status,
    experiments.start_date,
    experiments.created_at,
    variants.variant_name,
    variants.is_control,
    variants.status as variant_status
from served_experiments as experiments
inner join served_variants as variants
    on
        experiments.experiment_id = variants.experiment_id
        and variants.valid_from_date <= cast(:today as date)
        and variants.valid_to_date > cast(:today as date)
where
    experiments.valid_from_date <= cast(:today as date)
    and experiments.valid_to_date > cast(:today as date)
order by experiments.experiment_name, experiments.experiment_id, variants.position;
