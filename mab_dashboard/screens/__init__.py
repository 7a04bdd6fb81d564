"""The screens, one per page: they show what the pure modules found in the API's answers."""
