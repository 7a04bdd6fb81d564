"""The serving API: answers from published copies; computes nothing, imports no pipeline."""
