"""Which model serves: roles, promotion, warm starts, lineage, export."""
