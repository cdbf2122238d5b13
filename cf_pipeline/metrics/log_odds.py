"""Which words tell a group apart: log-odds with an informative Dirichlet prior.

Monroe, Colaresi, Quinn 2008, "Fightin' Words", equations 16, 20 and 22. The prior is the words' own
frequency over all groups: a word that is common everywhere tells nothing, and one that is rare
has to be seen often enough to be believed.
"""

from __future__ import annotations

import numpy as np

from cf_pipeline.metrics.ranking import Floats


def log_odds_scores(counts: Floats, prior_size: float) -> Floats:
    """How many standard deviations a word is above its odds in all other groups.

    Args:
        counts: of each word in each group, shape (n_groups, n_words); no word without a count.
        prior_size: how many words the prior weighs as much as, above 0.

    Returns:
        z-scores of the log-odds ratios, shape (n_groups, n_words).
    """
    total = counts.sum(axis=0)
    prior = prior_size * total / total.sum()
    here, there = counts + prior, (total - counts) + prior
    all_here = here.sum(axis=1, keepdims=True)
    all_there = there.sum(axis=1, keepdims=True)
    # A group that holds every word there is has no odds against it but the prior's.
    ratio = np.log(here / (all_here - here)) - np.log(there / (all_there - there))
    return np.asarray(ratio / np.sqrt(1 / here + 1 / there), dtype=np.float64)
