"""One training after another, each judged as the scoreboard judges: what tables are made of."""
