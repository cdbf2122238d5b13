"""What the code version of an asset covers: the package is copied, one thing in it changed."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cf_pipeline.configuration.choices import Choices, resolve
from cf_pipeline.definitions import defs
from cf_pipeline.defs.conditions import STAGES
from cf_pipeline.recompute import reach
from cf_pipeline.recompute.parsing import Module, parse
from cf_pipeline.recompute.reach import LEFT_OUT, SourceTree, Symbol
from cf_pipeline.recompute.versions import PACKAGE, chosen_methods

Edit = Callable[[str, str, str], None]

FACTORS = {"latent_factors", "factor_scores"}


@pytest.fixture(scope="module")
def symbols() -> dict[str, list[Symbol]]:
    """Body and chosen methods of every asset, by the default configuration."""
    defs().resolve_asset_graph()
    configuration = resolve(Choices())
    return {
        name: [
            spec.body,
            *(
                (method.__module__, method.__qualname__)
                for method in chosen_methods(
                    configuration,
                    [k for k in (*spec.reads, *spec.runs) if not k.startswith("dataset.")],
                )
            ),
        ]
        for name, spec in STAGES.items()
    }


Versions = Callable[[Path], dict[str, str]]


@pytest.fixture(scope="module")
def versions(symbols: dict[str, list[Symbol]]) -> Iterator[Versions]:
    known: dict[str, Module] = {}

    def parsed(file: Path) -> Module:
        """A text that was parsed before is not parsed again: edits are many, and files mostly as
        they were."""
        text = file.read_text(encoding="utf-8")
        if text not in known:
            known[text] = parse(file)
        return known[text]

    def of(package: Path) -> dict[str, str]:
        tree = SourceTree(package)
        return {asset: tree.code_version(reached) for asset, reached in symbols.items()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reach, "parse", parsed)
        yield of


@pytest.fixture(scope="module")
def before(versions: Versions) -> dict[str, str]:
    return versions(PACKAGE)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(
        PACKAGE,
        tmp_path_factory.mktemp("source") / "cf_pipeline",
        ignore=shutil.ignore_patterns("__pycache__", "templates"),
    )


@pytest.fixture
def edit(copied: Path) -> Iterator[Edit]:
    """Replaces text in a file of the copy, and puts it back after the test."""
    texts: dict[Path, str] = {}

    def replace(file: str, old: str, new: str) -> None:
        path = copied / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} does not hold {old!r} any more"
        texts.setdefault(path, text)
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    yield replace
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


def due(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {asset for asset in before if after[asset] != before[asset]}


def test_what_dagster_is_told(before: dict[str, str]) -> None:
    graph = defs().resolve_asset_graph()
    told = {key.to_user_string(): graph.get(key).code_version for key in graph.get_all_asset_keys()}
    assert told == before


FUTURE = "from __future__ import annotations\n"
A_FUNCTION = f"{FUTURE}\n\ndef nobody_calls_this() -> int:\n    return 1\n\n"
CHANGES_NOTHING = {
    "a function beside reached ones": ("vectors.py", FUTURE, A_FUNCTION),
    "a constant beside reached ones": ("vision/training.py", FUTURE, f"{FUTURE}\nANOTHER = 1\n"),
    "a class beside reached ones": ("benchmark/pool.py", FUTURE, f"{FUTURE}\nclass A: ...\n"),
    "the words of an error": ("vectors.py", "expected one row per id", "a row per id is expected"),
    "the words of an error that a helper makes": (
        "sources/expressions.py", "is neither a column of", "is no column of",
    ),
    "a log line": ("benchmark/similarity.py", "chosen on validation: ", "validation chose "),
    "a docstring": ("vision/embedding.py", "Run a network over cover files.", "Embed covers."),
    "a module's docstring": ("interactions/pruning.py", "Cutting off", "Taking away"),
    "a comment": ("interactions/pruning.py", "# Users first", "# At first users"),
    "an annotation of an argument": (
        "factorization/als.py", "cells: sparse.csr_matrix | sparse.csc_matrix) -> Floats",
        "cells: object) -> Floats",
    ),
    "the annotation of a result": (
        "vectors.py", "vectors: Matrix) -> Matrix:", "vectors: Matrix):",
    ),
    "an entry that nobody chose": (
        "vision/backbones/backbone.py", "entries={", 'entries={"mine": "my_lab:Mine", ',
    ),
    "an objective that nobody chose": (
        "vision/objectives/contrastive.py", 'reduction="batchmean"', 'reduction="mean"',
    ),
    "a backbone that nobody chose": ("vision/backbones/resnet_small.py", "80", "96"),
    "a picture": ("figures/curves.py", FUTURE, f"{FUTURE}\nCOLOR = 'red'\n"),
    "how rows are stored": ("storage/warehouse.py", FUTURE, f"{FUTURE}\nANOTHER = 1\n"),
    "what is told to wandb": ("tracking.py", FUTURE, f"{FUTURE}\nANOTHER = 1\n"),
    "how staleness is judged": ("recompute/due.py", FUTURE, f"{FUTURE}\nANOTHER = 1\n"),
    "a default of the configuration": ("interactions/config.py", "0.1, gt=0", "0.2, gt=0"),
    "what makes an asset of a body": ("defs/interactions.py", 'kinds=("image",)', 'kinds=("x",)'),
    "a data set that is synthetic": ("synthetic/planted.py", FUTURE, f"{FUTURE}\nANOTHER = 1\n"),
    "how a check is worded": ("vision/soundness.py", FUTURE, f"{FUTURE}\nANOTHER = 1\n"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES_NOTHING)
def test_an_edit_that_changes_nothing(
    before: dict[str, str], copied: Path, versions: Versions, edit: Edit, what: str
) -> None:
    edit(*CHANGES_NOTHING[what])
    assert due(before, versions(copied)) == set()


CHANGES = {
    "a body": (
        ("defs/interactions.py", '"project_id", "sha256"))', '"project_id", "sha256", where=""))'),
        {"pruned_matrix"},
    ),
    "a constant of the body's file": (
        ("defs/factorization.py", '"project_id", "confidence"', '"confidence"'), FACTORS,
    ),
    "a function of a room": (
        ("interactions/splitting.py", "digest[:8]", "digest[:4]"), {"project_split"},
    ),
    "a constant of a room": (
        ("vision/augmentation.py", "STORED_ABOVE = 1.2", "STORED_ABOVE = 1.3"), {"trained_cnn"},
    ),
    "a default value": (
        ("vision/covers.py", "n_threads: int = 1", "n_threads: int = 2"),
        {"covers", "benchmark_tasks"},
    ),
    "the chosen objective": (
        ("vision/objectives/regression.py", ".square().sum(dim=1)", ".abs().sum(dim=1)"),
        {"trained_cnn", "embeddings", "task_embeddings"},
    ),
    "a method of a base class": (
        ("vision/objectives/objective.py", ".mean().sqrt()", ".sum().sqrt()"),
        {"trained_cnn", "embeddings", "task_embeddings"},
    ),
    "the chosen factorizer": (
        ("factorization/als.py", "loss * weight", "2 * loss * weight"), FACTORS,
    ),
    "what the chosen factorizer calls": (
        ("factorization/half_steps.py", "2 * right", "3 * right"), FACTORS,
    ),
    "the chosen task loader": (
        ("benchmark/task_loaders/labels_csv.py", '_SPLITS = ("train", ', '_SPLITS = ('),
        {"benchmark_tasks"},
    ),
    "what is reached through two rooms": (
        ("vectors.py", "np.where(norms == 0, 1, norms)", "np.where(norms == 0, 2, norms)"),
        {"similarity_scores", "promoted_model", "ridge_embeddings", "imagenet_embeddings",
         "trained_cnn", "task_baseline_embeddings", "benchmark_scores", "cold_start_scores",
         "latent_clusters", "similar_projects", "gallery"},
    ),
    "the worker, through defs": (
        ("vision/job.py", 'prefix="decoded-"', 'prefix="made-"'), {"trained_cnn"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_an_edit_that_reaches_those_who_use_it(
    before: dict[str, str], copied: Path, versions: Versions, edit: Edit, what: str
) -> None:
    place, reached = CHANGES[what]
    edit(*place)
    assert due(before, versions(copied)) == reached


def test_layout_reaches_nobody(
    before: dict[str, str], copied: Path, versions: Versions, tmp_path: Path
) -> None:
    again = shutil.copytree(copied, tmp_path / "cf_pipeline")
    for path in again.rglob("*.py"):
        # Comments and layout are lost on the way.
        path.write_text("# A comment.\n" + ast.unparse(ast.parse(path.read_text())))
    assert due(before, versions(again)) == set()


def test_modules_that_count_whole_are_few_and_wanted(symbols: dict[str, list[Symbol]]) -> None:
    tree = SourceTree(PACKAGE)
    whole = {asset: sorted(tree.wholes(reached)) for asset, reached in symbols.items()}
    places = {asset: modules for asset, modules in whole.items() if modules}
    print(f"modules that count whole, since a name in them is computed: {places or 'none'}")  # noqa: T201
    assert places == {}


ASSETS = """
import cf.a.first
from cf.a import second as other
from cf.a.third import answer as renamed
from cf.a import fourth, unused
from cf.a import whole
from cf.a.again import passed_on

LIMIT: int = 3
LOW, HIGH = 1, 2
TABLE = {}
TABLE["x"] = 1
TABLE.update(y=2)

class Base:
    def method(self):
        return LOW

class Derived(Base):
    pass

def twice(function):
    return lambda: 2 * function()

@twice
def helper():
    return HIGH

@stage_asset(kinds="x")
def asset(width=LIMIT):
    import cf.a.fifth
    module = whole
    used = cf.a.first.x, other.x, renamed, list(map(fourth.f, []))
    return TABLE, helper(), used, Derived, passed_on

def another():
    return unused.x
"""


@pytest.mark.parametrize(
    ("file", "old", "new", "counts"),
    [
        ("assets.py", "LIMIT: int = 3", "LIMIT: int = 4", True),
        ("assets.py", "LOW, HIGH = 1", "LOW, HIGH = 0", True),
        ("assets.py", 'TABLE["x"] = 1', 'TABLE["x"] = 3', True),
        ("assets.py", "y=2", "y=3", True),
        ("assets.py", "return lambda: 2", "return lambda: 3", True),
        ("assets.py", "@twice\ndef helper", "def helper", True),
        ("assets.py", "return LOW", "return -LOW", True),
        ("assets.py", "width=LIMIT", "width=LIMIT + 1", True),
        ("assets.py", 'kinds="x"', 'kinds="y"', False),
        ("assets.py", "return unused.x", "return unused.y", False),
        *[(f"a/{name}.py", "x = 1", "x = 2", True) for name in ("first", "second")],
        ("a/third.py", "answer = 1", "answer = 2", True),
        ("a/third.py", "x = 1", "x = 2", False),
        ("a/fourth.py", "def f(): return 1", "def f(): return 2", True),
        ("a/fourth.py", "x = 1", "x = 2", False),
        ("a/fifth.py", "x = 1", "x = 2", False),
        ("a/whole.py", "x = 1", "x = 2", True),
        ("a/whole.py", "x = 1", '"""What x is."""\n\nx = 1', False),
        ("a/behind.py", "passed_on = 1", "passed_on = 2", True),
        ("a/nobody.py", "x = 1", "x = 2", False),
    ],
)
def test_the_ways_to_use_a_name(
    tmp_path: Path, file: str, old: str, new: str, counts: bool
) -> None:
    package = tmp_path / "cf"
    (package / "a").mkdir(parents=True)
    (package / "a" / "__init__.py").touch()
    (package / "assets.py").write_text(ASSETS)
    for name in ("first", "second", "unused", "nobody", "fifth", "whole"):
        (package / "a" / f"{name}.py").write_text("x = 1\n")
    (package / "a" / "third.py").write_text("x = 1\nanswer = 1\n")
    (package / "a" / "fourth.py").write_text("x = 1\ndef f(): return 1\n")
    (package / "a" / "again.py").write_text("from cf.a.behind import passed_on\n")
    (package / "a" / "behind.py").write_text("passed_on = 1\n")
    symbol = ("cf.assets", "asset")
    before = SourceTree(package).code_version([symbol])
    assert SourceTree(package).wholes([symbol]) == {"cf.a.whole"}
    text = (package / file).read_text()
    assert old in text
    (package / file).write_text(text.replace(old, new))
    assert (SourceTree(package).code_version([symbol]) != before) == counts


def test_no_import_that_cannot_be_followed() -> None:
    """A room imported whole, or by a computed name: neither names what is used."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: a relative import"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                folder = PACKAGE.parent.joinpath(*name.split("."))
                assert not (name.startswith("cf_pipeline") and folder.is_dir()), f"{path}: {name}"
                if path.name != "registry.py":
                    assert not name.startswith("importlib.import_module"), f"{path}: {name}"
                    assert name != "importlib", f"{path}: {name}"


def test_what_is_left_out_exists() -> None:
    for room in LEFT_OUT:
        place = PACKAGE.joinpath(*room.split("."))
        assert place.is_dir() or place.with_suffix(".py").is_file(), room
