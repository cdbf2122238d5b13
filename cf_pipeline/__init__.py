"""Image features learned from what people do instead of from labels.

Interactions and covers go in; latent factors, a network that places a cover in their space,
embeddings and a scoreboard come out. The rooms below are an ordinary library that never heard of
Dagster; `cf_pipeline.defs` is the pipeline built from them. `docs/architecture.md` is the map.
"""
