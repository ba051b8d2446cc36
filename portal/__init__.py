"""Where rooms meet: dashboards, the staff front page, closing a project, suspending a person. Has no rows of its own.

Not here: any rule of one room alone. Start reading at `services.py`.
"""
