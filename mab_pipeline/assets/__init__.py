"""One module per asset, named as the asset."""
