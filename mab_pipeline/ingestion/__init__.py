"""From files to rows: the ledger of inbox files, their order, and late data."""
