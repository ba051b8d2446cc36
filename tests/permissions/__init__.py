"""Who may call what. Every path and method of the URL configuration has a row in `rows.py`; one without fails the suite."""
