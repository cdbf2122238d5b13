"""What the code version of an asset covers: the package is copied, one thing in it changed."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cf_pipeline.definitions import defs
from cf_pipeline.defs.assets import STAGES
from cf_pipeline.defs.versions import CANNOT_CHANGE_A_VALUE, SourceTree

PACKAGE = Path(__file__).parents[2] / "cf_pipeline"
Edit = Callable[[str, str, str], None]
CODE = "ANOTHER = 1"
FUTURE = "from __future__ import annotations"
FILES = {
    "raw_interactions": "interactions",
    "covers": "interactions",
    "project_split": "interactions",
    "pruned_matrix": "interactions",
    "latent_factors": "factorization",
    "trained_cnn": "vision",
    "embeddings": "vision",
    "imagenet_embeddings": "baselines",
    "similarity_scores": "benchmark",
    "benchmark_scores": "benchmark",
}


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return versions(PACKAGE)


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(
        PACKAGE,
        tmp_path_factory.mktemp("source") / "cf_pipeline",
        ignore=shutil.ignore_patterns("__pycache__", "templates"),
    )


@pytest.fixture
def edit(copied: Path) -> Iterator[Callable[[str, str, str], None]]:
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


def versions(package: Path) -> dict[str, str]:
    tree = SourceTree(package)
    return {
        asset: tree.code_version(package / "defs" / f"{file}.py", asset)
        for asset, file in FILES.items()
    }


def changed(before: dict[str, str], package: Path) -> set[str]:
    after = versions(package)
    return {asset for asset in before if after[asset] != before[asset]}


def test_what_dagster_is_told(before: dict[str, str]) -> None:
    defs().resolve_asset_graph()
    assert before == {asset: STAGES[asset].code_version for asset in FILES}


@pytest.mark.parametrize(
    ("file", "old", "new", "reached"),
    [
        # A constant of the asset's own file.
        ("defs/factorization.py", '"project_id", "confidence"', '"confidence"', {"latent_factors"}),
        # The body, and no other body of the same file.
        (
            "defs/interactions.py",
            'stage.frame("covers", "project_id", "sha256")',
            'stage.frame("covers", "project_id", "sha256", where="true")',
            {"pruned_matrix"},
        ),
        # A room that is imported in the body, and one that those rooms import.
        ("interactions/splitting.py", FUTURE, CODE, {"project_split"}),
        ("benchmark/pool.py", FUTURE, CODE, {"similarity_scores"}),
        # Through defs/training.py and worker.py.
        ("worker.py", 'sort("project_id")', 'sort("path")', {"trained_cnn"}),
        ("vision/objectives.py", FUTURE, CODE, {"trained_cnn"}),
        # Through defs/extraction.py.
        (
            "defs/extraction.py",
            "where=\"status = 'ok'\"",
            'where="true"',
            {"embeddings", "imagenet_embeddings"},
        ),
        ("baselines/imagenet.py", FUTURE, CODE, {"imagenet_embeddings"}),
    ],
)
def test_an_edit_reaches_those_who_use_it(
    before: dict[str, str],
    copied: Path,
    edit: Edit,
    file: str,
    old: str,
    new: str,
    reached: set[str],
) -> None:
    edit(file, old, f"{old}\n{CODE}" if new is CODE else new)
    assert changed(before, copied) == reached


def test_what_reaches_nobody(before: dict[str, str], copied: Path, edit: Edit) -> None:
    # What stands in the decorator is not computed with.
    edit("defs/interactions.py", 'kinds=("pillow",)', 'kinds=("opencv",)')
    for file in ("figures/curves", "storage/warehouse", "recipes/configuration", "tracking"):
        edit(f"{file}.py", FUTURE, f"{FUTURE}\n{CODE}")
    for file in ("stage", "staleness", "resources", "metadata"):
        edit(f"defs/{file}.py", "\nfrom cf_pipeline", f"\n{CODE}\nfrom cf_pipeline")
    # A room that no asset uses.
    edit("synthetic/planted.py", FUTURE, f"{FUTURE}\n{CODE}")
    # Configuration is hashed by its values.
    edit("interactions/config.py", "0.1, gt=0", "0.2, gt=0")
    assert changed(before, copied) == set()


def test_comments_docstrings_and_layout_reach_nobody(
    before: dict[str, str], copied: Path, tmp_path: Path
) -> None:
    again = shutil.copytree(copied, tmp_path / "cf_pipeline")
    for path in again.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        for node in ast.walk(tree):
            if isinstance(node, documented) and ast.get_docstring(node):
                node.body[0] = ast.Expr(ast.Constant("Another docstring."))
        # Comments and layout are lost on the way.
        path.write_text("# A comment.\n" + ast.unparse(tree), encoding="utf-8")
    assert changed(before, again) == set()


ASSETS = """
import cf.a.first
from cf.a import second as other
from cf.a.third import answer as renamed
from cf.a import fourth, unused

LIMIT: int = 3
LOW, HIGH = 1, 2
TABLE = {}
TABLE["x"] = 1
TABLE.update(y=2)

def twice(function):
    return lambda: 2 * function()

@twice
def helper():
    return LOW

@anything(kinds="x")
def asset():
    import cf.a.fifth
    return LIMIT, TABLE, helper(), cf.a.first.x, other.x, renamed, list(map(fourth.f, []))

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
        ("assets.py", 'kinds="x"', 'kinds="y"', False),
        ("assets.py", "return unused.x", "return unused.y", False),
        *[(f"a/{name}.py", "x = 1", "x = 2", True) for name in ("first", "second", "third")],
        *[(f"a/{name}.py", "x = 1", "x = 2", True) for name in ("fourth", "fifth", "behind")],
        ("a/nobody.py", "x = 1", "x = 2", False),
    ],
)
def test_the_ways_to_use_a_name(
    tmp_path: Path, file: str, old: str, new: str, counts: bool
) -> None:
    package = tmp_path / "cf"
    (package / "a").mkdir(parents=True)
    (package / "assets.py").write_text(ASSETS)
    for name in ("first", "second", "third", "fourth", "behind", "unused", "nobody"):
        (package / "a" / f"{name}.py").write_text("x = 1\n")
    (package / "a" / "__init__.py").touch()
    (package / "a" / "fifth.py").write_text("x = 1\ndef f():\n    from cf.a import behind\n")
    before = SourceTree(package).code_version(package / "assets.py", "asset")
    text = (package / file).read_text()
    assert old in text
    (package / file).write_text(text.replace(old, new))
    after = SourceTree(package).code_version(package / "assets.py", "asset")
    assert (after != before) == counts


def test_no_import_that_the_versions_cannot_follow() -> None:
    """A room imported whole, a module by a computed name: neither names the file that is used."""
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
                assert name not in {"importlib", "importlib.import_module"}, f"{path}: {name}"


def test_what_is_left_out_exists() -> None:
    for room in CANNOT_CHANGE_A_VALUE:
        place = PACKAGE.joinpath(*room.split("."))
        assert place.is_dir() or place.with_suffix(".py").is_file(), room
