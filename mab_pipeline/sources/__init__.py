"""Sources of counts, and how the columns of an export become rows of the inbox.

Everything here turns bytes and a mapping into files of the inbox, and judges no row: the run does
that, whatever brought the file. No Dagster: a command, a run and a sensor call the same code.
"""
