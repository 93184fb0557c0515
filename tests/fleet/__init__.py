"""An installation of several processes, run here as in production: PostgreSQL and Redis behind gates that can be shut."""
