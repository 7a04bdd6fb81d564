"""Tables: the interface of an engine, SQL texts, the declared schema and readers."""
