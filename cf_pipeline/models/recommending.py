"""Projects for users and users for projects, out of the factors of a home."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.factorization.factorizer import Factorizer
from cf_pipeline.factorization.recommending import place_user, ranked
from cf_pipeline.sql import equals
from cf_pipeline.storage.near_ids import near_ids
from cf_pipeline.storage.warehouse import Warehouse
from cf_pipeline.vectors import IndexedVectors, Vector, indexed


@dataclass(frozen=True)
class Recommender:
    """Factors of everybody, and the method that found them.

    Attributes:
        warehouse: of the home.
        factorizer: as configured.
        users: factors of users.
        projects: factors of projects, folded-in ones among them.
        fitted: ids of projects that users were fitted to.
    """

    warehouse: Warehouse
    factorizer: Factorizer
    users: IndexedVectors
    projects: IndexedVectors
    fitted: frozenset[str]

    @classmethod
    def of(cls, warehouse: Warehouse, factorizer: Factorizer) -> Recommender:
        """Of a home.

        Raises:
            DataError: it has no factors yet.
        """
        rows = warehouse.frame("latent_factors")
        projects = rows.filter(side="project")
        return cls(
            warehouse,
            factorizer,
            indexed(rows.filter(side="user"), "id", "factors"),
            indexed(projects, "id", "factors"),
            frozenset(projects.filter(~pl.col("folded_in"))["id"]),
        )

    def projects_for_user(self, user_id: str, k: int) -> pl.DataFrame:
        """`rank, project_id, score` of what a user has not come for yet.

        Raises:
            DataError: the user has no factors.
        """
        if user_id not in self.users.ids:
            near = near_ids(self.warehouse, "latent_factors", "id", user_id, equals("side", "user"))
            raise DataError(
                f"user {user_id!r} has no latent factors: not in the data, or cut by pruning.{near}"
                " --projects ID,ID recommends for somebody who is not known."
            )
        came_for = self.warehouse.frame(
            "pruned_matrix", ("project_id",), where="user_id = ?", parameters=[user_id]
        )
        return self._projects(self.users.rows([user_id])[0], came_for["project_id"].to_list(), k)

    def projects_for_list(self, came_for: Sequence[str], k: int) -> pl.DataFrame:
        """`rank, project_id, score` for somebody who came for some projects, each once.

        Raises:
            DataError: the list is empty, or a project has no factors.
        """
        if not came_for:
            raise DataError("expected at least one project, came an empty list.")
        with self.warehouse.read() as connection:
            (usual,) = connection.sql("SELECT median(confidence) FROM pruned_matrix").fetchall()[0]
        user = place_user(
            self.factorizer,
            self.projects,
            self._fitted(),
            len(self.users.ids),
            came_for,
            float(usual),
        )
        return self._projects(user, came_for, k)

    def _fitted(self) -> dict[str, int]:
        """Projects that users were fitted to, to their number of users."""
        counted = "SELECT project_id, count(*) FROM pruned_matrix GROUP BY ALL"
        with self.warehouse.read() as connection:
            degrees = dict(connection.sql(counted).fetchall())
        return {project: degrees.get(project, 0) for project in self.fitted}

    def users_for(self, place: Vector, k: int) -> pl.DataFrame:
        """`rank, user_id, score` for a place in latent space, shape (n_factors,)."""
        return ranked(place, self.users, k).rename({"id": "user_id"})

    def _projects(self, user: Vector, without: Sequence[str], k: int) -> pl.DataFrame:
        return ranked(user, self.projects, k, without).rename({"id": "project_id"})
