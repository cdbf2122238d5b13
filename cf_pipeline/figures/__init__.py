"""Every picture, drawn with matplotlib from plain arrays and tables; each returns PNG bytes."""
