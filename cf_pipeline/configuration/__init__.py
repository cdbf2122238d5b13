"""Methods and budgets as TOML files, and the one place where a configuration is resolved."""
