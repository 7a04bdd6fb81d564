"""The `mab` command: options, output and exit codes; one thin module per verb.

Data goes to stdout, text for a person to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage.
The work is done in `mab_pipeline.operations` and `mab_pipeline.recovery`. Modules that take long
to import are imported by the verb that needs them, so that `mab --help` is quick.
"""
