"""One self-contained page of results: read from the warehouse, chosen by rule, written as HTML."""
