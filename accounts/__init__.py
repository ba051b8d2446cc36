"""Who: User, Department, Project, Quota, ApiKey, how they come in (`logins.py`), and what a request may do (`principal.py`).

Not here: what people own (the apps above count their own rows). Start reading at `principal.py`, then `services.py`.
"""
