"""The Dagster side: one file per group of the graph, thin, the pipeline's table of contents."""
