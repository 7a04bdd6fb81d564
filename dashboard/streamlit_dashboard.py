"""For `streamlit run dashboard/streamlit_dashboard.py`; `mab dashboard` is the same."""

from mab_dashboard.app import main

main()
