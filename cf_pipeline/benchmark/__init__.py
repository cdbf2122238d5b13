"""Is the feature any good? Image similarity and labelled tasks."""
