"""Networks from a cover to pooled features, one file per backbone."""
