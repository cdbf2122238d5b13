"""What can happen to the assets of `chain`, and what has to follow by itself."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import polars as pl

from cf_pipeline.errors import DataError
from cf_pipeline.recompute.stage import Stage
from cf_pipeline.storage.publishing import Write
from cf_pipeline.storage.records import Draft
from cf_pipeline_tests.defs.chain import BAD, DOWN, MID, SIDE, UP, World, script

SAME_ROWS = ("split = 'train'", "split = 'train' and true")
OTHER_ROWS = ("lit(1.0", "lit(2.0")


@dataclass(frozen=True)
class Step:
    """Something happens, and what follows by itself until nothing more does.

    Attributes:
        change: what happens.
        asked: the assets of each run that the sensor requests, one run after the other.
        ran: bodies that these runs entered, by default of every asset that was asked for.
    """

    change: Callable[[World], object]
    asked: Sequence[set[str]]
    ran: Sequence[str] | None = None


def plays(**rows: str) -> Callable[[World], None]:
    """`project_split` will have these rows."""
    return lambda _: vars(script).update(projects=rows)


def projects(**rows: str) -> Callable[[World], None]:
    """`project_split` is computed again by somebody, and has these rows."""

    def change(world: World) -> None:
        plays(**rows)(world)
        assert world.run(UP, force=True)

    return change


def choose(**fields: object) -> Callable[[World], None]:
    return lambda world: world.choose(**fields)


def edit_code(before: str, after: str) -> Callable[[World], None]:
    return lambda world: world.edit_code(before, after)


def every(*changes: Callable[[World], object]) -> Callable[[World], None]:
    def change(world: World) -> None:
        for one in changes:
            one(world)

    return change


def goes_wrong(_: Stage) -> None:
    raise DataError("expected nothing, this came")


def is_cancelled(_: Stage) -> None:
    signal.raise_signal(signal.SIGINT)


def during_mid(what: Callable[[Stage], object]) -> Callable[[World], None]:
    return lambda _: script.during.update({MID: what})


def undisturbed(_: World) -> None:
    script.during.clear()


def dies(*where: str) -> Callable[[World], None]:
    return lambda world: world.deaths.extend(where)


def forgets(world: World) -> None:
    world.forget()
    world.reload()


def changes_above(stage: Stage) -> None:
    """While `pruned_matrix` is computed, the rows it has read are replaced; once."""
    script.during.clear()
    before = stage.warehouse.record(UP)
    assert before is not None
    draft = Draft(
        asset=UP,
        code_version=before.code_version,
        config_hash=before.config_hash,
        inputs=before.inputs,
        run_id="another",
        computed_at=datetime.now(UTC),
        seconds=0.0,
        metadata=before.metadata,
    )
    rows = pl.DataFrame({"project_id": ["a", "b", "c"], "split": ["train"] * 3})
    stage.warehouse.publish(draft, Write({UP: rows}))


def is_turned_away(world: World) -> None:
    """A blocking check fails: what was there stays."""
    before = world.warehouse.frame(UP)
    script.projects = {BAD: "train"}
    assert not world.run(UP, force=True)
    assert world.warehouse.frame(UP).equals(before)


def everything_is_refreshed(world: World) -> None:
    """As the schedule does, and `cf-pipeline run`."""
    script.ran.clear()
    assert world.run()
    assert script.ran == [MID, DOWN]


def loses_a_table(world: World) -> None:
    with world.warehouse.write() as con:
        con.execute(f"drop table {MID}")


def writes(name: str, text: str) -> Callable[[World], object]:
    return lambda world: (world.home.path / name).write_text(text)


ALL_TRAIN = projects(a="train", b="train")
ANOTHER_TEST = projects(a="train", c="test")
CHAIN: dict[str, list[Step]] = {
    "the same version again": [Step(projects(a="train", b="test"), [])],
    "changed, and the same below": [Step(ANOTHER_TEST, [{MID}])],
    "changed all the way": [Step(ALL_TRAIN, [{MID}, {DOWN}])],
    "changed above and in the middle at once": [
        Step(choose(split__seed=1, pruning__alpha=2.0), [{UP}, {MID}])
    ],
    "code changed": [
        Step(edit_code(*SAME_ROWS), [{MID}]),
        Step(edit_code(*OTHER_ROWS), [{MID}, {DOWN}]),
    ],
    "a comment changed": [
        Step(edit_code("# Everybody is as sure as the next.", "# Nobody is surer."), []),
        Step(edit_code('"""One user, who', '"""Somebody who'), []),
    ],
    "configuration edited": [
        Step(choose(pruning__alpha=2.0), [{MID}]),
        Step(choose(resources__embedding_batch=7, vision__epochs=9), []),
        Step(every(choose(pruning__alpha=3.0), choose(pruning__alpha=2.0)), []),
    ],
    "dataset.toml edited": [
        Step(lambda world: world.edit_dataset("weight = 2.0", "weight = 3.0"), [{MID}]),
        Step(lambda world: world.edit_dataset('name = "small"', 'name = "other"'), []),
    ],
    "half an edit": [
        Step(writes("config.toml", "[pruning]\nalpha = "), []),
        Step(choose(pruning__alpha=2.0), [{MID}]),
        Step(writes("data_set/dataset.toml", "[interactions"), []),
    ],
    "a second change during the run": [
        Step(every(ALL_TRAIN, during_mid(changes_above)), [{MID}, {MID}, {DOWN}])
    ],
    "failed, then mended by configuration": [
        Step(every(during_mid(goes_wrong), choose(pruning__alpha=2.0)), [{MID}]),
        Step(forgets, []),
        Step(choose(pruning__alpha=3.0), [{MID}]),
        Step(undisturbed, []),
        Step(choose(pruning__alpha=4.0), [{MID}]),
    ],
    "failed, then mended by code": [
        Step(every(during_mid(goes_wrong), choose(pruning__alpha=2.0)), [{MID}]),
        Step(every(undisturbed, edit_code(*SAME_ROWS)), [{MID}]),
    ],
    "failed, then mended by what it reads": [
        Step(every(during_mid(goes_wrong), edit_code(*OTHER_ROWS)), [{MID}]),
        Step(every(undisturbed, ANOTHER_TEST), [{MID}, {DOWN}]),
    ],
    "failed, then taken back": [
        Step(every(during_mid(goes_wrong), choose(pruning__alpha=2.0)), [{MID}]),
        Step(choose(pruning__alpha=1.0), [{MID}], ran=[]),
    ],
    "held": [
        Step(every(choose(automation__hold=[MID]), ALL_TRAIN), []),
        Step(everything_is_refreshed, []),
    ],
    "held, then let go": [
        Step(choose(automation__hold=[MID], pruning__alpha=2.0), []),
        Step(choose(automation__hold=[]), [{MID}]),
    ],
    "held under a wrong name": [
        Step(choose(automation__hold=["nobody"], pruning__alpha=2.0), []),
        Step(choose(automation__hold=[]), [{MID}]),
    ],
    "cancelled": [
        Step(every(during_mid(is_cancelled), choose(pruning__alpha=2.0)), [{MID}]),
        Step(every(undisturbed, forgets), []),
        Step(choose(pruning__alpha=3.0), [{MID}]),
    ],
    "turned away by a check": [
        Step(is_turned_away, []),
        Step(choose(pruning__alpha=2.0), []),
        Step(every(plays(a="train", b="train"), choose(split__seed=1)), [{UP}, {MID}, {DOWN}]),
    ],
    "missing": [Step(loses_a_table, [{MID}])],
    "cursor lost, code location reloaded": [
        Step(forgets, []),
        Step(every(ALL_TRAIN, forgets), [{MID}, {DOWN}]),
        Step(forgets, []),
    ],
}
DIAMOND: dict[str, list[Step]] = {
    "both arms changed": [Step(ALL_TRAIN, [{MID, SIDE}, {DOWN}])],
    "one arm changed": [Step(projects(a="train", b="test", c="test"), [{MID, SIDE}, {DOWN}])],
    "one arm held": [Step(every(choose(automation__hold=[MID]), ALL_TRAIN), [{SIDE}, {DOWN}])],
}
KILLED: dict[str, list[Step]] = {
    "killed, and killed again": [
        Step(every(dies("body", "body"), choose(pruning__alpha=2.0)), [{MID}, {MID}], ran=[]),
        Step(forgets, []),
    ],
    "killed after its rows were committed": [
        Step(every(dies("event"), edit_code(*OTHER_ROWS)), [{MID}, {DOWN}], ran=[DOWN])
    ],
}
