"""Scripts for developers: generated docs, the sample and the prose check. Not in the wheel."""
