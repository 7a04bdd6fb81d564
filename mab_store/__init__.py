"""What the pipeline and the API share: settings, contracts, inbox, warehouse, published copies."""
