"""The analyst's dashboard: the served data, to look at.

It reads over HTTP only. Arithmetic is in pure modules; the pages put text and charts on the screen.
"""
