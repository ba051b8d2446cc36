"""Staff's pages for departments, projects, quotas and people, and the front page: what they show and do takes several rooms."""

from portal.admin import departments, people, projects, quotas

__all__ = ["departments", "people", "projects", "quotas"]
