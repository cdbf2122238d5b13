"""What a factorization is: from a matrix to factors, and from fixed users to further projects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, SerializeAsAny

from cf_pipeline.registry import Method, Registry

if TYPE_CHECKING:
    from scipy import sparse

    from cf_pipeline.vectors import Indices, Matrix


OnIteration = Callable[[int, int, float], None]
"""Called as on_iteration(done, total, objective)."""


def _nobody(done: int, total: int, objective: float) -> None:
    """Hears of iterations and does nothing."""


@dataclass(frozen=True)
class Fitting:
    """What every factorizer is told beside the matrix.

    Attributes:
        n_factors: length of a factor.
        seed: of everything that is drawn.
        threads: cores to use, 0 for all of them; the result must not depend on it.
        on_iteration: hears the objective after every iteration.
        start: user and item factors to start from, (n_users, n_factors) and (n_projects,
            n_factors); None: from nothing.
    """

    n_factors: int
    seed: int = 0
    threads: int = 0
    on_iteration: OnIteration = _nobody
    start: tuple[Matrix, Matrix] | None = None


@dataclass(frozen=True)
class Factors:
    """What a factorization found.

    Attributes:
        user_factors: float32, shape (n_users, n_factors).
        item_factors: float32, shape (n_projects, n_factors).
        objective: value after every iteration, at least one.
    """

    user_factors: Matrix
    item_factors: Matrix
    objective: tuple[float, ...]


@dataclass(frozen=True)
class Fixed:
    """One side of a factorization, to which rows of the other are fitted.

    Attributes:
        side: whose factors they are.
        factors: float32, shape (n, n_factors).
        degrees: events that each of them was fitted to, int64, shape (n,).
        n_others: rows of the other side that were fitted together with them.
    """

    side: Literal["user", "project"]
    factors: Matrix
    degrees: Indices
    n_others: int


class Range(NamedTuple):
    """A setting's values to search among, both ends in, as likely at any order of magnitude."""

    low: float
    high: float


class OneOf(NamedTuple):
    """A setting's values to search among, without an order."""

    values: tuple[str | int, ...]


class Factorizer(Method):
    """Base of the methods that factorize; its fields are their settings."""

    def fit(self, user_items: sparse.csr_matrix, fitting: Fitting) -> Factors:
        """Factors of users and projects.

        Args:
            user_items: CSR, shape (n_users, n_projects), float32 confidences c_ui > 0 of observed
                pairs.
            fitting: number of factors, seed, threads, who listens, what to start from.

        Raises:
            DataError: the solver diverged, or there is a start of other shapes.
        """
        raise NotImplementedError

    def place(self, fixed: Fixed, rows: sparse.csr_matrix) -> Matrix:
        """Factors of projects, or of users, that were not trained on, the other side fixed.

        Args:
            fixed: users for new projects, projects for new users.
            rows: CSR, shape (n_new, n), confidences of the new rows with the fixed ones.

        Returns:
            float32, shape (n_new, n_factors); a row without an event is the zero vector.
        """
        raise NotImplementedError

    def initial(self, shape: tuple[int, int], fitting: Fitting) -> tuple[Matrix, Matrix] | None:
        """User and item factors that `fit` would begin with by itself, (n_users, n_projects) rows.

        None, the default: it cannot start from earlier factors, and a warm start is a cold one.
        """
        return None

    def search_space(self) -> Mapping[str, Range | OneOf]:
        """Settings that `cf-pipeline tune factors` searches among; none, the default: no search."""
        return {}


FACTORIZERS = Registry(
    sort="factorizer",
    base="cf_pipeline.factorization.factorizer:Factorizer",
    entries={
        "als": "cf_pipeline.factorization.als:Als",
        "sampled_mf": "cf_pipeline.factorization.sampled_mf:SampledMf",
    },
    entry_points="cf_pipeline.factorizers",
)
ChosenFactorizer = Annotated[SerializeAsAny[Factorizer], BeforeValidator(FACTORIZERS.choose)]
"""A field that holds a factorizer: its name, or a table with `name` and its settings."""
