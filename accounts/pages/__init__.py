"""Pages that people open: a forgotten password, staff's own account and its second factor."""
