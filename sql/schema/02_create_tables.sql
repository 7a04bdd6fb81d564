-- Purpose: every table of the warehouse, one text for DuckDB and Snowflake.
-- Run by:  `mab init` and the first transaction of a run; running it again changes nothing.
-- Reading: the comment above a table gives its meaning and its grain, the one behind a column its
--          meaning and its unit in brackets. Column declarations in Dagster, docs/DATA_DICTIONARY.md,
--          docs/ERD.md and the checks are generated from this file (mab_store/warehouse/table_schema.py).
-- No primary keys: DuckDB pays for them with load time and size, Snowflake does not enforce them
-- (docs/adr/0003). Uniqueness of the grain is a check. Times are UTC.

-- The ledger: each file that was ever in the inbox, with the content of its last load.
-- Grain: source_file
create table if not exists inbox_files (
    source_file varchar not null,            -- Path of the file below the inbox [path]
    metric_date date,                        -- Day that the folder names; null for experiment files and for files that no day takes [UTC date]
    size_bytes bigint not null,              -- Size of the file [bytes]
    sha256 varchar not null,                 -- Hash of the content, hexadecimal; "oversize" if the file was too large to read [hash]
    received_at timestamp not null,          -- When this content was received (docs/adr/0016); no two files of a day have the same [UTC time]
    row_count bigint not null,               -- Rows in the file; 0 if it could not be parsed [rows]
    error varchar,                           -- Why the file could not be used; null if it was used [text]
    loaded_at timestamp not null             -- When this content was loaded [UTC time]
);

-- Experiments as they were registered and changed; a row is true from valid_from_date to the day before valid_to_date.
-- Grain: experiment_id, valid_from_date
create table if not exists experiments (
    experiment_id varchar not null,          -- "exp_" and the first 12 hexadecimal digits of sha256(experiment_name) [id]
    valid_from_date date not null,           -- First day on which the row is true; 1900-01-01 for the registration [UTC date]
    experiment_name varchar not null,        -- Name given at registration; never changes [text]
    description varchar,                     -- Purpose of the test, in the owner's words [text]
    status varchar not null,                 -- running, paused or finished [status]
    start_date date,                         -- First day with traffic, if the owner gave one [UTC date]
    created_at timestamp not null,           -- When the experiment was registered [UTC time]
    valid_to_date date not null,             -- First day on which the row is no longer true; 9999-12-31 for the newest [UTC date]
    decision varchar                         -- Options of the rule that the experiment has of its own; null if it has none [JSON]
);

-- Variants of the experiments; a row is true from valid_from_date to the day before valid_to_date.
-- Grain: experiment_id, variant_name, valid_from_date
create table if not exists variants (
    experiment_id varchar not null,          -- Experiment that the variant belongs to [id]
    variant_name varchar not null,           -- Name, distinct within the experiment [text]
    valid_from_date date not null,           -- First day on which the row is true [UTC date]
    is_control boolean not null,             -- Whether this is the experiment's one control [flag]
    position bigint not null,                -- Place in the owner's list, from 0 [ordinal]
    status varchar not null,                 -- active or retired [status]
    valid_to_date date not null              -- First day on which the row is no longer true; 9999-12-31 for the newest [UTC date]
);

-- Audit: every row of every metrics file of a day, as received; a text of more than 10,000 characters is cut and marked.
-- Grain: metric_date, source_file, row_number
create table if not exists raw_metrics (
    metric_date date not null,               -- Day of the counts: the folder of the file [UTC date]
    source_file varchar not null,            -- File that the row came from, below the inbox [path]
    row_number bigint not null,              -- Place of the row in the file, from 1; 0 for a file that could not be parsed [ordinal]
    submission_id varchar,                   -- Identifier of the submission, if it arrived by POST [id]
    received_at timestamp not null,          -- When the file's content was received [UTC time]
    experiment varchar,                      -- Experiment id or name as received [text]
    variant_name varchar,                    -- Variant as received [text]
    impressions varchar,                     -- Impressions as received, unproven [text]
    clicks varchar,                          -- Clicks as received, unproven [text]
    error varchar                            -- Why the file could not be parsed; null for a row that was parsed [text]
);

-- The accepted counts: for each variant and day the row that was received last.
-- Grain: metric_date, experiment_id, variant_name
create table if not exists daily_metrics (
    metric_date date not null,               -- Day of the counts [UTC date]
    experiment_id varchar not null,          -- Experiment [id]
    variant_name varchar not null,           -- Variant [text]
    impressions bigint not null,             -- Times that the variant was shown that day [impressions/day]
    clicks bigint not null,                  -- Clicks on it that day, at most the impressions [clicks/day]
    source_file varchar not null,            -- File that the row came from, below the inbox [path]
    received_at timestamp not null           -- When that file was received [UTC time]
);

-- Days of which daily_metrics is known to agree with raw_metrics, with fingerprints of all inputs (docs/adr/0029). A day that is not here, or differs now, is judged again; deleting rows only costs time.
-- Grain: metric_date
create table if not exists judged_days (
    metric_date date not null,               -- Day of the counts [UTC date]
    fingerprint varchar not null,            -- Number and hash of its rows in raw_metrics, inbox_files and daily_metrics; empty if only its names were looked up [hash]
    registry_fingerprint varchar not null,   -- Number and hash of the registered names and of the variants' days [hash]
    code_version varchar not null,           -- Hash of the SQL that judges [hash]
    unknown_rows bigint not null             -- Rows of raw_metrics whose experiment is not registered [rows]
);

-- The rule's inputs for each variant at the end of a day: the sums of both windows, and the window in use.
-- Grain: as_of_date, experiment_id, variant_name
create table if not exists windowed_aggregates (
    as_of_date date not null,                -- Last day of the window [UTC date]
    experiment_id varchar not null,          -- Experiment that runs on the day after as_of_date [id]
    variant_name varchar not null,           -- Active variant of it [text]
    window_days bigint not null,             -- Length of the window that the rule looked back [days]
    window_start_date date not null,         -- First day of that window [UTC date]
    days_observed bigint not null,           -- Days of that window that have counts [days]
    data_source varchar not null,            -- default_window, max_window, or prior if neither has enough impressions [source]
    impressions bigint not null,             -- Impressions that the posterior uses; 0 for prior [impressions]
    clicks bigint not null,                  -- Clicks that the posterior uses; 0 for prior [clicks]
    default_window_impressions bigint not null,  -- Impressions of the last DEFAULT_WINDOW_DAYS [impressions]
    default_window_clicks bigint not null,   -- Clicks of the last DEFAULT_WINDOW_DAYS [clicks]
    max_window_impressions bigint not null,  -- Impressions of the last MAX_WINDOW_DAYS [impressions]
    max_window_clicks bigint not null        -- Clicks of the last MAX_WINDOW_DAYS [clicks]
);

-- Journal of decisions, append-only: each allocation that was ever computed, one row per variant.
-- Grain: as_of_date, experiment_id, variant_name, allocation_id
create table if not exists allocations (
    as_of_date date not null,                -- Last day of the evidence [UTC date]
    experiment_id varchar not null,          -- Experiment [id]
    variant_name varchar not null,           -- Variant [text]
    allocation_id varchar not null,          -- Hash of day, experiment, inputs, settings and code: the same decision has the same id [id]
    effective_date date not null,            -- Day that the shares are for: as_of_date + 1 [UTC date]
    allocation_hundredths bigint not null,   -- Share of the traffic; an experiment's rows sum to 10000 [0.01 %]
    alpha double not null,                   -- First parameter of the Beta posterior: PRIOR_ALPHA + clicks; after options of the rule as ADR 0022 says [pseudo-clicks]
    beta double not null,                    -- Second parameter: PRIOR_BETA + impressions - clicks; after options as ADR 0022 says [pseudo-non-clicks]
    probability_best double not null,        -- Exact probability that the variant has the highest click rate [probability]
    window_days bigint not null,             -- Length of the window that the rule looked back [days]
    data_source varchar not null,            -- default_window, max_window (also the few counts that SHORT_WINDOW=keep kept) or prior [source]
    impressions bigint not null,             -- Impressions that the posterior used [impressions]
    clicks bigint not null,                  -- Clicks that the posterior used [clicks]
    algorithm varchar not null,              -- thompson_sampling; thompson_multinomial or probability_best by ALLOCATION_METHOD [name]
    samples bigint not null,                 -- Draws per variant; 0 if the exact value is used [draws]
    seed bigint not null,                    -- Seed of the experiment's generator, below 2^63 [integer]
    settings varchar not null,               -- Settings that entered the decision [JSON]
    inputs_hash varchar not null,            -- Hash of the rule's inputs for each variant [hash]
    code_version varchar not null,           -- Hash of the rule's SQL and numerics [hash]
    numpy_version varchar not null,          -- Version of numpy that drew the samples [version]
    computed_at timestamp not null,          -- When it was computed [UTC time]
    run_id varchar not null,                 -- Dagster run that computed it [id]
    impressions_since_joined bigint          -- Impressions since the variant joined, cut to MIN_IMPRESSIONS; null if burn-in was off for all [impressions]
);

-- Journal of publications, append-only: the allocation that was published for a day, and when.
-- Grain: as_of_date, experiment_id, published_at
create table if not exists publications (
    as_of_date date not null,                -- Last day of the evidence [UTC date]
    experiment_id varchar not null,          -- Experiment [id]
    published_at timestamp not null,         -- When it was published [UTC time]
    allocation_id varchar not null,          -- Allocation that was published [id]
    buckets varchar not null,                -- Buckets 0..99 of each variant as inclusive pairs [JSON]
    was_live boolean not null,               -- Whether its effective date was not yet past when it was published [flag]
    data_through date,                       -- Last day up to as_of_date with accepted impressions; null before the first [UTC date]
    run_id varchar not null                  -- Dagster run that published it [id]
);

-- Journal of the gate's holds, append-only: the experiment keeps its last publication. A variant gap that a user accepted is recorded too, when its day is published.
-- Grain: as_of_date, experiment_id, held_at, reason
create table if not exists publication_holds (
    as_of_date date not null,                -- Day whose allocation was not published [UTC date]
    experiment_id varchar not null,          -- Experiment [id]
    held_at timestamp not null,              -- When the gate decided; for an accepted gap, when its day was published [UTC time]
    reason varchar not null,                 -- Check that failed, data_gap, variant_gap, or variant_gap_accepted [name]
    detail varchar not null,                 -- The finding, in words; for an accepted gap, the accepted values as JSON [text]
    run_id varchar not null                  -- Dagster run that decided [id]
);

-- Journal of analyses, append-only: of each experiment that a run published or held back, its newest decision.
-- Grain: as_of_date, experiment_id, analysed_at
create table if not exists analysis (
    as_of_date date not null,                -- Last day of the evidence [UTC date]
    experiment_id varchar not null,          -- Experiment [id]
    analysed_at timestamp not null,          -- When its decision was published or held back [UTC time]
    allocation_id varchar not null,          -- Allocation that was analysed [id]
    is_published boolean not null,           -- Whether the allocation was published; false if it was held back [flag]
    advice varchar not null,                 -- keep_running, safe_to_stop, winner or data_problem; nothing acts on it [name]
    sample_ratio_p_value double,             -- Probability of so great a deviation of the traffic from the published shares; null if not tested [probability]
    analysis varchar not null,               -- Intervals, lifts, checks and the advice with its reason [JSON]
    run_id varchar not null,                 -- Dagster run that made it [id]
    first_date date                          -- First day on which the experiment ever had impressions: weeks are counted from it; null without any [UTC date]
);

-- Of each experiment the newest publication, and the newest of an earlier day. Written with them; 02_fill_current.sql restores it (docs/adr/0031).
-- Grain: experiment_id
create table if not exists current_publications (
    experiment_id varchar not null,          -- Experiment [id]
    as_of_date date not null,                -- Its newest published day [UTC date]
    published_at timestamp not null,         -- When that day was published last [UTC time]
    allocation_id varchar not null,          -- Allocation that was published then [id]
    previous_as_of_date date,                -- The newest published day before that one; null if there is none [UTC date]
    previous_allocation_id varchar,          -- Allocation that was published last for that day [id]
    updated_at timestamp not null            -- When this row was written [UTC time]
);

-- The hold that an experiment is under: its newest one, if nothing was published since.
-- Grain: experiment_id
create table if not exists current_holds (
    experiment_id varchar not null,          -- Experiment [id]
    as_of_date date not null,                -- Day whose allocation was not published [UTC date]
    held_at timestamp not null,              -- When the gate decided [UTC time]
    reason varchar not null,                 -- Check that failed, data_gap or variant_gap [name]
    detail varchar not null,                 -- The finding, in words [text]
    updated_at timestamp not null            -- When this row was written [UTC time]
);

-- The newest analysis of each experiment.
-- Grain: experiment_id
create table if not exists current_analyses (
    experiment_id varchar not null,          -- Experiment [id]
    as_of_date date not null,                -- Last day of the evidence [UTC date]
    analysed_at timestamp not null,          -- When its decision was published or held back [UTC time]
    updated_at timestamp not null            -- When this row was written [UTC time]
);
