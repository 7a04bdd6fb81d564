"""The warehouse: the interface of an engine, the SQL loader, the declared schema and readers.

Code outside this package knows only the protocols of `warehouse` and `reader`; each engine has its
own sub-package. SQL text is in `sql/`, and no module here knows the meaning of a table.
"""
