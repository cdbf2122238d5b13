"""What made a result and whether it is current: versions, staleness, attempts, watching."""
