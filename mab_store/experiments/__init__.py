"""Experiments: schemas of their files, the events that change them, registration, assignment."""
