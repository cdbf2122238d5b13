"""Reading what users have: `dataset.toml`, and the tables and covers it describes."""
