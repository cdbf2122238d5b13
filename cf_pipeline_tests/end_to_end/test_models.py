"""Models of one home through several retrainings: which serves, which go, where each comes from.

Every run is a fixture that continues from the one before it and keeps what was seen after it, so
that a test of an early run may come after a late one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import wandb
from PIL import Image

from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.models.catalogue import models
from cf_pipeline.models.lineage import Lineage, lineage_of
from cf_pipeline.storage.home import Home
from cf_pipeline.storage.tables import ASSET_TABLES
from cf_pipeline.synthetic.planted import plant
from cf_pipeline.vision import training_set
from cf_pipeline_tests.end_to_end.planted_run import repaint
from cf_pipeline_tests.end_to_end.retrained_home import (
    PROCESS,
    RETRAINING,
    SMALL,
    RetrainedHome,
    Seen,
)
from cf_pipeline_tests.wandb_log import read_run

pytestmark = pytest.mark.slow

# Of the users, in the first run: enough that its network knows more than one that learned noise.
FEW = 0.2
OF_VECTORS = {"user_embeddings", "training_vectors"}
OF_SEVERAL_TASKS = {"benchmark_task_draws", "metaclass_embeddings", "metaclass_nodes"}
"""Tables that are empty where a world has covers and nothing else."""


@pytest.fixture(scope="module")
def home(place: Path, make_home: Callable[[Path], Home]) -> RetrainedHome:
    world = plant(place / "world", SMALL)
    events = pl.read_parquet(world.folder / "interactions.parquet")
    return RetrainedHome(world, make_home(place / "home"), events)


# The runs ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first(home: RetrainedHome) -> Seen:
    """Some of the users; the only run that is tracked."""
    users = home.events["user_id"].unique().sort().sample(fraction=FEW, seed=1)
    home.write(home.events.filter(pl.col("user_id").is_in(users.implode())))
    home.choose(tracking__mode="offline")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR", "WANDB_MODE"):
            patch.delenv(name, raising=False)
        outcome = home.run()
    wandb.teardown()
    home.choose()
    return home.see(outcome)


@pytest.fixture(scope="module")
def worse(home: RetrainedHome, first: Seen) -> Seen:
    """The same interactions, but every cover is to be placed where another project is."""
    select = training_set.select_training_set

    def shuffled(*tables: pl.DataFrame) -> pl.DataFrame:
        return select(*tables).with_columns(pl.col("factors").shuffle(seed=1))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_set, "select_training_set", shuffled)
        home.run("training_set", force=True)
    return home.see(home.run(*RETRAINING[4:]))


@pytest.fixture(scope="module")
def honest(home: RetrainedHome, worse: Seen) -> Seen:
    """All users."""
    home.write(home.events)
    return home.see(home.run(*RETRAINING))


@pytest.fixture(scope="module")
def gone(home: RetrainedHome, honest: Seen) -> str:
    """A project that trains now and has no interactions later."""
    rows = home.warehouse.frame("training_set", ("project_id",), where="split = 'train'")
    return str(rows["project_id"][0])


@pytest.fixture(scope="module")
def warm(home: RetrainedHome, honest: Seen, gone: str) -> Seen:
    """A run of the schedule: a project has gone, and epochs are fewer."""
    home.write(home.events.filter(pl.col("project_id") != gone))
    home.choose(vision__epochs=2)
    return home.see(home.run(*RETRAINING, warm=True))


@pytest.fixture(scope="module")
def after_warm(home: RetrainedHome, warm: Seen) -> Seen:
    """A run as anybody starts it, with nothing new."""
    return home.see(home.run("latent_factors", "training_set", "trained_cnn", "promoted_model"))


@dataclass(frozen=True)
class Repainted:
    """A cover that changed while some models had no role."""

    project: str
    path: Path
    original: bytes


@pytest.fixture(scope="module")
def repainted(home: RetrainedHome, after_warm: Seen) -> Repainted:
    covers = home.warehouse.frame("covers")
    test = home.warehouse.frame("project_split").filter(split="test")
    alone = covers.filter(pl.len().over("sha256") == 1).join(test, on="project_id")
    path = Path(alone["path"][0])
    before = Repainted(str(alone["project_id"][0]), path, path.read_bytes())
    repaint(path)
    return before


@pytest.fixture(scope="module")
def afresh(home: RetrainedHome, repainted: Repainted) -> Seen:
    """Somebody fits factors on other interactions, from nothing; then the schedule comes."""
    names = home.warehouse.frame("training_set", ("project_id",), where="split = 'train'")
    home.write(home.events.filter(pl.col("project_id") != names["project_id"][1]))
    home.run("raw_interactions", "pruned_matrix", "latent_factors")
    return home.see(home.run(warm=True))


@dataclass(frozen=True)
class ByHand:
    """What was seen when the shuffled model was promoted by a person."""

    said: str
    event: dg.AssetMaterialization
    after: Seen
    covers: set[tuple[str, str]]


@pytest.fixture(scope="module")
def by_hand(home: RetrainedHome, afresh: Seen, worse: Seen) -> ByHand:
    said = home.said("promote", worse.model[:7])
    event = home.latest_event("promoted_model")
    outcome = home.run("trained_cnn", "embeddings", "similarity_scores", "promoted_model")
    return ByHand(said, event, home.see(outcome), home.covers())


@pytest.fixture(scope="module")
def judged_again(home: RetrainedHome, by_hand: ByHand, warm: Seen) -> Seen:
    """A person lets the warm model serve; the newest is compared with it, and was known before."""
    home.said("promote", warm.model)
    return home.see(home.run("promoted_model", force=True))


@dataclass(frozen=True)
class Collected:
    """Before, while and after old models were collected."""

    models: list[str]
    planned: str
    checkpoints_after_plan: set[str]
    said: str
    left: list[str]
    told: Lineage
    after: Seen


@pytest.fixture(scope="module")
def collected(home: RetrainedHome, judged_again: Seen, first: Seen) -> Collected:
    home.choose(vision__epochs=2, promotion__keep=1)
    before = home.models()
    told = lineage_of(home.home, "trained_cnn", first.model)
    planned = home.said("gc", "--dry-run")
    on_disk = home.checkpoints()
    said = home.said("gc")
    return Collected(before, planned, on_disk, said, home.models(), told, home.see(home.run()))


# Promotion --------------------------------------------------------------------------------------


def test_the_first_model_serves(home: RetrainedHome, first: Seen) -> None:
    assert set(first.outcome.computed) == set(ASSET_TABLES)
    assert first.roles == dict.fromkeys(("challenger", "champion", "best"), first.model)
    assert first.reason == "the first model"
    assert first.comparisons.is_empty()
    assert first.embedded.keys() == {first.model}


def test_a_retraining_made_worse_is_not_promoted(
    home: RetrainedHome, first: Seen, worse: Seen
) -> None:
    assert worse.model != first.model
    assert worse.roles == {
        "challenger": worse.model,
        "champion": first.model,
        "best": first.model,
    }
    figures = r"(triplet_accuracy|ndcg_at_10) is 0\.\d{4} \[.*\] lower than the champion's "
    assert re.search(figures + first.model, worse.reason)
    assert worse.embedded[first.model] == worse.embedded[worse.model] == first.embedded[first.model]
    rows = worse.comparisons.select("model_version", "reference_role", "reference_version")
    assert set(rows.iter_rows()) == {
        (worse.model, role, first.model) for role in ("champion", "best")
    }
    assert set(worse.comparisons["measure"]) == {"triplet_accuracy", "ndcg_at_10"}
    assert (worse.comparisons.filter(split="validation")["high"] < 0).any()
    triplets = worse.comparisons.filter(measure="triplet_accuracy", split="validation")
    assert (triplets["n_queries"] > 20).all()


def test_an_honest_retraining_on_more_interactions_is_promoted(first: Seen, honest: Seen) -> None:
    assert honest.roles == dict.fromkeys(("challenger", "champion", "best"), honest.model)
    assert honest.reason.startswith("no interval below zero; ")
    assert set(honest.comparisons["reference_version"]) == {first.model}
    deciding = honest.comparisons.filter(split="validation")
    assert (deciding["low"] > 0).any()
    assert not (deciding["high"] < 0).any()
    # The model made worse has no role, so nobody embeds with it any more; its rows stay.
    assert len(honest.embedded) == 3


def test_models_are_listed_with_their_roles(home: RetrainedHome, collected: Collected) -> None:
    listed = home.said("models").splitlines()[1 : len(collected.left) + 1]
    lines = {line.split()[0]: line for line in listed}
    assert list(lines) == collected.left[::-1]
    for role, model in collected.after.roles.items():
        assert role in lines[model]
    scores = {model.version: model.scores for model in models(home.home)}
    for model, line in lines.items():
        assert set(scores[model]) == {"triplet_accuracy", "ndcg_at_10"}
        assert f"{scores[model]['ndcg_at_10']:.3f}" in line


# Warm starts ------------------------------------------------------------------------------------


def test_a_run_of_the_schedule_continues_what_is_there(
    home: RetrainedHome, honest: Seen, warm: Seen, gone: str, collected: Collected
) -> None:
    assert warm.records["trained_cnn"].inputs["started_from"] == honest.model
    factors = warm.records["latent_factors"].inputs["started_from"]
    assert factors == honest.version("latent_factors")
    assert "started_from" not in honest.records["trained_cnn"].inputs
    listed = {model.version: model.started_from for model in models(home.home)}
    assert listed[warm.model] == honest.model
    assert listed[honest.model] is None
    seen = {
        str(model): set(rows["project_id"])
        for (model,), rows in home.warehouse.frame("trained_on").group_by("model_version")
    }
    # One project has left the training set since; the network has seen it all the same.
    assert gone in seen[honest.model]
    assert seen[warm.model] >= seen[honest.model]
    assert gone in seen[warm.model]


def test_where_a_network_started_is_no_input_that_must_be_current(after_warm: Seen) -> None:
    assert after_warm.outcome.computed == ()


def test_a_network_starts_cold_where_factors_were_fitted_anew(
    home: RetrainedHome, warm: Seen, afresh: Seen
) -> None:
    assert "latent_factors" in afresh.outcome.unchanged
    assert "started_from" not in afresh.records["latent_factors"].inputs
    assert "trained_cnn" in afresh.outcome.computed
    assert "started_from" not in afresh.records["trained_cnn"].inputs
    warning = "starts cold: latent_factors were fitted anew since " + warm.model
    assert any(warning in line for line in home.log_of(afresh.outcome))
    assert not any("starts cold" in line for line in home.log_of(warm.outcome))


# By hand ----------------------------------------------------------------------------------------


def test_a_model_promoted_by_hand_serves_with_every_cover(
    home: RetrainedHome, worse: Seen, afresh: Seen, repainted: Repainted, by_hand: ByHand
) -> None:
    assert by_hand.said.strip() == f"{worse.model} is the champion"
    assert by_hand.after.roles == {**afresh.roles, "champion": worse.model}
    assert by_hand.after.reason == "promoted by hand"
    # It had no role when the cover changed.
    assert afresh.embedded[worse.model] != by_hand.covers
    assert dict(afresh.embedded[worse.model]).keys() >= {repainted.project}
    assert by_hand.after.embedded[worse.model] == by_hand.covers
    assert by_hand.after.embedded[afresh.model] == by_hand.covers


def test_a_promotion_by_hand_is_an_event_and_makes_nothing_stale(
    worse: Seen, by_hand: ByHand
) -> None:
    assert by_hand.event.metadata["champion"].value == worse.model
    assert by_hand.event.description == f"{worse.model} promoted by hand"
    version = by_hand.event.tags["dagster/data_version"]
    assert version == by_hand.after.version("promoted_model")
    assert by_hand.after.outcome.computed == ()


def test_what_a_person_chose_holds_until_another_model_comes(
    warm: Seen, afresh: Seen, judged_again: Seen
) -> None:
    assert judged_again.outcome.computed == ("promoted_model",)
    assert judged_again.roles["champion"] == warm.model
    assert judged_again.reason == "promoted by hand"
    # It was compared all the same.
    champion = judged_again.comparisons.filter(reference_role="champion")
    assert set(champion["reference_version"]) == {warm.model}
    assert set(champion["model_version"]) == {afresh.model}


# Collecting -------------------------------------------------------------------------------------


def test_old_models_go_and_what_serves_or_was_continued_stays(
    home: RetrainedHome,
    first: Seen,
    worse: Seen,
    honest: Seen,
    warm: Seen,
    afresh: Seen,
    judged_again: Seen,
    collected: Collected,
) -> None:
    assert collected.models == [s.model for s in (first, worse, honest, warm, afresh)]
    named = {*judged_again.roles.values(), *judged_again.comparisons["reference_version"]}
    # The champion continues the honest model.
    expected = {afresh.model, warm.model, honest.model} | named
    going = [model for model in collected.models if model not in expected]
    assert going == [first.model, worse.model]
    for said, verb in ((collected.planned, "would go"), (collected.said, "removed")):
        assert said.startswith(f"{verb}: 2 model versions, ")
        assert set(re.findall(r"^  ([0-9a-f]{16})$", said, re.MULTILINE)) == set(going)
    assert collected.checkpoints_after_plan == set(collected.models)
    assert set(collected.left) == home.checkpoints() == expected


def test_every_table_is_there_after_collecting(
    home: RetrainedHome, first: Seen, collected: Collected
) -> None:
    for tables in ASSET_TABLES.values():
        for table in tables:
            frame = home.warehouse.frame(table)
            may_be_empty = table in OF_VECTORS | OF_SEVERAL_TASKS or "rejected" in table
            assert frame.height or may_be_empty, table
            if "model_version" in frame.columns:
                assert set(frame["model_version"]) <= set(collected.left)
    assert collected.after.outcome.computed == ()
    assert len(collected.after.outcome.unchanged) == len(ASSET_TABLES)
    assert home.said("gc").startswith("removed: 0 model versions, 0 rows, 0 artifacts")


# Export -----------------------------------------------------------------------------------------


def test_the_model_that_serves_is_exported(
    home: RetrainedHome, collected: Collected, warm: Seen, honest: Seen, tmp_path: Path
) -> None:
    file = tmp_path / "embeddings.parquet"
    assert f"embeddings of model {warm.model} in" in home.said("export", "embeddings", str(file))
    rows = pl.read_parquet(file)
    assert set(rows["model_version"]) == {warm.model}
    assert set(rows["project_id"]) == {project for project, _ in home.covers()}
    prefix = honest.model[:8]
    said = home.said("export", "embeddings", str(file), "--model", prefix)
    assert f"embeddings of model {honest.model} in" in said
    assert set(pl.read_parquet(file)["model_version"]) == {honest.model}


# Lineage ----------------------------------------------------------------------------------------


def test_an_old_model_is_traced_to_the_files_as_they_were(
    home: RetrainedHome, first: Seen, honest: Seen, collected: Collected
) -> None:
    assert first.interactions != honest.interactions
    told = {made.asset: made for made in collected.told.made}
    assert collected.told.made[0].data_version == first.model
    assert not collected.told.missing
    assert {asset: made.data_version for asset, made in told.items()} == {
        asset: first.version(asset)
        for asset in (
            "trained_cnn",
            "training_set",
            "latent_factors",
            "covers",
            "user_embeddings",
            "project_split",
            "pruned_matrix",
            "raw_interactions",
            "raw_projects",
        )
    }
    hashes = told["raw_interactions"].files["sha256"]
    assert hashes == {str(home.interactions): first.interactions}
    assert told["trained_cnn"].configuration["vision"]["epochs"] == 8
    # The rows of it are gone by now, and what it was made of is still told.
    assert first.model not in collected.left
    assert lineage_of(home.home, "trained_cnn", first.model) == collected.told


def test_a_warm_model_is_traced_through_the_one_it_continues(
    home: RetrainedHome, honest: Seen, warm: Seen, collected: Collected
) -> None:
    told = lineage_of(home.home, "trained_cnn", warm.model)
    networks = [made for made in told.made if made.asset == "trained_cnn"]
    assert [made.data_version for made in networks] == [warm.model, honest.model]
    assert [made.started_from for made in networks] == [honest.model, None]
    files = [made.files["sha256"] for made in told.made if made.asset == "raw_interactions"]
    assert [*files[0].values(), *files[1].values()] == [warm.interactions, honest.interactions]


def test_lineage_is_printed_for_projects_and_models(
    home: RetrainedHome, first: Seen, warm: Seen, gone: str, collected: Collected
) -> None:
    told = home.said("lineage", gone)
    assert f"project_id: {gone}" in told
    assert "split: train" in told
    n_events = home.warehouse.frame("raw_interactions").filter(project_id=gone).height
    assert f"events: {n_events}" in told
    assert f"served_by: {warm.model}" in told
    assert f"embeddings {collected.after.version('embeddings')}" in told
    tree = home.said("lineage", "--model", first.model[:6])
    assert tree.startswith(f"trained_cnn {first.model}  code ")
    assert f"sha256 {first.interactions}" in "".join(tree.split("\n"))
    read = json.loads(home.said("lineage", "--model", first.model, "--json"))
    assert read["made"][0]["data_version"] == first.model
    assert read["choices"] == collected.told.choices.model_dump()


def test_an_old_model_is_made_again_from_its_lineage(
    home: RetrainedHome,
    first: Seen,
    honest: Seen,
    collected: Collected,
    repainted: Repainted,
    place: Path,
    make_home: Callable[[Path], Home],
) -> None:
    current, painted = home.interactions.read_bytes(), repainted.path.read_bytes()
    users = home.events["user_id"].unique().sort().sample(fraction=FEW, seed=1)
    again = RetrainedHome(home.world, make_home(place / "again"), home.events)
    told = collected.told
    told.choices.model_copy(update={"set": {**told.choices.set, **PROCESS}}).write(
        again.home.config_path
    )
    assert resolve(Choices.read(again.home.config_path)).vision.epochs == 8
    try:
        home.write(home.events.filter(pl.col("user_id").is_in(users.implode())))
        repainted.path.write_bytes(repainted.original)
        outcome = again.run(*(made.asset for made in told.made))
    finally:
        home.interactions.write_bytes(current)
        repainted.path.write_bytes(painted)
    assert len(outcome.computed) == len(told.made)
    records = again.warehouse.records()
    assert {made.asset: made.data_version for made in told.made} == {
        asset: record.data_version for asset, record in records.items()
    }
    assert again.checkpoints() == {first.model}


# wandb ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tracked(home: RetrainedHome, first: Seen) -> dict[str, dict[str, Any]]:
    """Asset to its wandb run, with the folder of its files."""
    found = {}
    for log in home.home.wandb_path.rglob("*.wandb"):
        run = read_run(log)
        assert run["run"].display_name not in found
        found[run["run"].display_name] = {**run, "files": log.parent / "files"}
    return found


def test_a_training_and_two_evaluations_are_runs_of_one_group(
    tracked: dict[str, dict[str, Any]], first: Seen
) -> None:
    assert {name: run["run"].job_type for name, run in tracked.items()} == {
        "trained_cnn": "training",
        "similarity_scores": "evaluation",
        "benchmark_scores": "evaluation",
    }
    for run in tracked.values():
        assert run["run"].run_group == first.outcome.run_id
        assert run["run"].project == "cf_pipeline"
        assert run["exit_code"] == 0


def test_a_run_names_the_model_and_the_data_it_was_made_of(
    tracked: dict[str, dict[str, Any]], first: Seen
) -> None:
    for asset, run in tracked.items():
        versions = run["config"]["data_versions"]
        inputs = {k: v for k, v in first.records[asset].inputs.items() if k != "files"}
        assert versions == inputs
        assert (run["config"]["recipe"], run["config"]["budget"]) == ("modern", "demo")
    training = tracked["trained_cnn"]
    assert training["summary"]["model_version"] == first.model
    assert training["config"]["vision"]["epochs"] == 8
    # Epoch 0 is what training began with.
    assert len(training["history"]) == 9
    assert {"train_loss", "validation_cosine"} <= training["history"][-1].keys()
    for asset in ("similarity_scores", "benchmark_scores"):
        assert tracked[asset]["config"]["model_version"] == first.model


def media(run: dict[str, Any]) -> Iterator[tuple[str, Path]]:
    """Name and file of everything that is no number."""
    for row in run["history"]:
        for key, value in row.items():
            if key.endswith(".path"):
                yield key.removesuffix(".path"), run["files"] / value


def test_evaluations_have_score_tables_and_pictures(
    tracked: dict[str, dict[str, Any]], home: RetrainedHome, first: Seen
) -> None:
    similarity = dict(media(tracked["similarity_scores"]))
    assert {"similarity_scores", "similarity_differences", "neighbours"} <= similarity.keys()
    table = json.loads(similarity["similarity_scores"].read_text())
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    chosen = [row for row in rows if row["chosen"] and row["split"] == "test"]
    assert {row["model_version"] for row in rows} == {first.model}
    summary = tracked["similarity_scores"]["summary"]
    for row in chosen:
        assert summary[f"test/{row['feature_set']}/{row['measure']}"] == row["value"]
    with Image.open(similarity["neighbours"]) as panel:
        assert min(panel.size) > 200
    tasks = dict(media(tracked["benchmark_scores"]))
    confusions = {f"confusion_noto_emoji_by_{name}" for name in ("collaborative", "imagenet")}
    tables = {"benchmark_scores", "benchmark_differences", "benchmark_classes"}
    assert tasks.keys() == {*tables, *confusions, "mean_class_accuracy_noto_emoji"}
    with Image.open(tasks["confusion_noto_emoji_by_collaborative"]) as confusion:
        assert min(confusion.size) > 100
