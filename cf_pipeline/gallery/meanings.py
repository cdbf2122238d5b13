"""What the rows of the scoreboard are, a line each, for who has not read the documentation."""

from __future__ import annotations

from collections.abc import Mapping

from cf_pipeline.benchmark.feature_sets import ordered
from cf_pipeline.gallery.content import Board

_MEANINGS = {
    "factors": "Matrix factorization of who came for what.",
    "item_knn": "What the people came for who came for the same, project by project.",
    "popularity": "Whatever most people came for.",
    "chance": "No knowledge at all.",
    "split_group": "Who shares a split group with whom, such as an owner.",
    "random": "A network with random weights.",
    "color": "Histograms of colour.",
    "imagenet": "The last layer of a network trained on ImageNet's labels, untouched.",
    "imagenet_ridge": "A linear map from it to latent space.",
    "metaclass": "What classifiers of other tasks' classes say of a picture.",
    "imagenet_levels": "All stages of that network side by side.",
    "imagenet_levels_ridge": "A linear map from those to latent space.",
    "collaborative": "Ours: the features layer of the network that learned from behaviour.",
    "predicted_factors": "Ours: the place in latent space that the network predicts.",
    "ensemble": "The chosen layer of ours beside ImageNet's features.",
    "latent_factors": "The place that a project's own visitors give it; no newcomer has one.",
}


def meanings_of(boards: Mapping[str, tuple[Board, ...]]) -> dict[str, str]:
    """Every row that some table has, to what it is, in the order of the scoreboard."""
    named = {row.name: None for tables in boards.values() for table in tables for row in table.rows}
    return {
        name: _MEANINGS.get(name, "Features from outside, as they are.")
        for name in (*(n for n in named if n == "factors"), *ordered(set(named) - {"factors"}))
    }
