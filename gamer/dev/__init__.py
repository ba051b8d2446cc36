"""What `make run` starts: the embedded Postgres and a supervisor for our processes. Never imported in production."""
