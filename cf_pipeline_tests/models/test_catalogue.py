"""Which models there are, which serve, and which may go."""

from __future__ import annotations

import pytest

from cf_pipeline.configuration.choices import Choices
from cf_pipeline.errors import DataError
from cf_pipeline.models.catalogue import (
    champion_of,
    collect_garbage,
    models,
    models_that_serve,
    roles,
    whole_version,
)
from cf_pipeline_tests.models.trained_home import PRIMARY, TrainedHome


def test_a_home_without_models_has_none_and_nobody_serves(trained: TrainedHome) -> None:
    assert models(trained.home) == []
    assert roles(trained.warehouse) == {}
    assert champion_of(trained.warehouse) is None
    assert models_that_serve(trained.warehouse) == []


def test_models_are_newest_first_with_roles_scores_and_what_they_continue(
    trained: TrainedHome,
) -> None:
    old = trained.train(1)
    new = trained.train(2, inputs={"started_from": old})
    trained.score(old, 0.625)
    trained.appoint(challenger=new, champion=old, best=old)
    first, second = models(trained.home)
    assert (first.version, first.roles, first.started_from) == (new, ("challenger",), old)
    assert (second.version, second.roles, second.started_from) == (old, ("best", "champion"), None)
    assert first.trained_at > second.trained_at
    assert (first.scores, second.scores) == ({}, dict.fromkeys(PRIMARY, 0.625))
    assert champion_of(trained.warehouse) == old
    assert models_that_serve(trained.warehouse) == [old]


def test_a_version_may_be_cut_short_as_long_as_it_is_one() -> None:
    assert whole_version("ab", ["abc", "bcd"]) == "abc"
    with pytest.raises(DataError, match="2 versions begin with 'a'; there are ab, ac"):
        whole_version("a", ["ab", "ac"])
    with pytest.raises(DataError, match="no version begins with 'x'; there are none"):
        whole_version("x", [])


class TestCollecting:
    def kept(self, trained: TrainedHome, **promotion: int) -> set[str]:
        chosen = {f"promotion.{name}": value for name, value in promotion.items()}
        Choices(set=chosen).write(trained.home.config_path)
        gone = collect_garbage(trained.home, dry_run=True)
        return {model.version for model in models(trained.home)} - set(gone.versions)

    @pytest.mark.slow
    def test_the_newest_stay_within_the_bytes_and_whatever_holds_a_role(
        self, trained: TrainedHome
    ) -> None:
        versions = [trained.train(seed, n_bytes=1000) for seed in range(1, 5)]
        assert self.kept(trained, keep=2) == set(versions[-2:])
        assert self.kept(trained, keep=9, keep_bytes=3000) == set(versions[-3:])
        # The newest itself stays, however large.
        assert self.kept(trained, keep=9, keep_bytes=0) == {versions[-1]}
        trained.appoint(challenger=versions[3], champion=versions[0], best=versions[1])
        held = {versions[0], versions[1], versions[3]}
        assert self.kept(trained, keep=1) == self.kept(trained, keep=9, keep_bytes=0) == held

    def test_what_a_model_that_stays_continues_stays_to_the_beginning(
        self, trained: TrainedHome
    ) -> None:
        first = trained.train(1)
        second = trained.train(2, inputs={"started_from": first})
        third = trained.train(3, inputs={"started_from": second})
        trained.train(4)
        last = trained.train(5)
        trained.appoint(champion=third)
        assert self.kept(trained, keep=1) == {first, second, third, last}

    def test_it_goes_for_good_and_nothing_of_it_is_left(self, trained: TrainedHome) -> None:
        old, new = trained.train(1), trained.train(2)
        for model in (old, new):
            trained.embed(model, 1.0)
        Choices(set={"promotion.keep": 1}).write(trained.home.config_path)
        planned = collect_garbage(trained.home, dry_run=True)
        assert collect_garbage(trained.home, dry_run=False) == planned
        assert planned.versions == (old,)
        assert planned.rows == {"trained_cnn": 1, "trained_on": 2, "embeddings": 2}
        assert [model.version for model in models(trained.home)] == [new]
        folders = trained.home.artifacts_path / "checkpoint"
        assert [path.name for path in folders.iterdir()] == [new]
        assert collect_garbage(trained.home, dry_run=False).versions == ()
