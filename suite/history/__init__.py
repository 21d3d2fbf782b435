"""Times over commits: all stored rows in one table, and where a speed changed."""
