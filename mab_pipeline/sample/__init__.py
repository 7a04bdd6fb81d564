"""The sample that `mab demo` shows: daily counts of 15 real experiments, from a public data set.

What belongs here: `asos_sample.csv`, the script that cuts it, and where it comes from (README.md).
What does not: placing the sample on the calendar and filling an inbox with it, which is the demo's.
"""
