"""Staff's pages for departments, projects, quotas, people and saves, and the front page: what they show and do takes several rooms."""

from portal.admin import departments, people, projects, quotas, saves

__all__ = ["departments", "people", "projects", "quotas", "saves"]
