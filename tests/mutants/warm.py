"""What mutmut's server imports before it forks, so that no mutant pays for it (a pytest plugin)."""

import pandas as pd  # pyarrow imports it with the first list of rows

__all__ = ["pd"]
