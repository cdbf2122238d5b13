"""One DuckDB file, content-addressed artifacts beside it, and the home folder with its lock."""
