"""Attacks as data: what was tried against each part, and what must come of it.

One module per subject; the attacks are the tables that its tests run through. A bomb is generated
by its test, never stored.
"""
