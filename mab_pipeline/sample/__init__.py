"""The sample that `mab demo` shows: daily counts of 15 real experiments, from a public data set.

`tools/cut_sample.py` cuts it from its source; README.md names that source.
"""
