"""Readers of labelled sets as people have them on disk: layouts, traps, the makers' own lists."""

import gzip
import os
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from cf_pipeline.benchmark.task_loaders.ava_style import AvaStyle
from cf_pipeline.benchmark.task_loaders.caltech import Caltech
from cf_pipeline.benchmark.task_loaders.flickr_style import PLACEHOLDER, STYLES, FlickrStyle
from cf_pipeline.benchmark.task_loaders.image_folder import ImageFolder
from cf_pipeline.benchmark.task_loaders.labels_csv import LabelsCsv
from cf_pipeline.benchmark.task_loaders.loader import TASK_LOADERS, Draws, TaskLoader
from cf_pipeline.benchmark.task_loaders.wikipaintings_artgan import WikiPaintingsArtgan
from cf_pipeline.benchmark.task_loaders.wikipaintings_karayev import WikiPaintingsKarayev
from cf_pipeline.errors import ConfigError, DataError


def put(folder: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def labelled(rows: pl.DataFrame) -> dict[str, tuple[str, str | None]]:
    """Image to its labels, side by side, and its side."""
    sides = rows["split"] if "split" in rows.columns else [None] * rows.height
    labels = ["|".join(of) for of in rows["labels"]]
    return dict(zip(rows["image_id"], zip(labels, sides, strict=True), strict=True))


def below(rows: pl.DataFrame, folder: Path) -> list[str]:
    return [str(Path(path).relative_to(folder)) for path in rows["path"]]


FLICKR = {"77_a.jpg": ("Detailed", "train"), "78_b.jpg": ("Romantic", "test")}
AVA = {
    "styles.txt": "1 Complementary_Colors\n2 Duotones\n3 HDR\n",
    "train.jpgl": "615485\n615595\n",
    "train.lab": "1\n3\n",
    "test.jpgl": "615561\n615681\n615746\n",
    "test.multilab": "1 0 1\n0 0 0\n0 1 0\n",
}


class TestFlickrStyle:
    HEAD = ",image_url,page_url,label,_split\n"
    ROWS = (
        "77,http://farm2.static.com/1227/77_a.jpg,http://www.com/photos/4@N02/77,0,train\n"
        "78,http://farm2.static.com/1227/78_b.jpg,http://www.com/photos/4@N02/78,19,test\n"
    )

    @pytest.mark.parametrize("packed", [True, False])
    def test_the_table(self, tmp_path, packed):
        content = (self.HEAD + self.ROWS).encode()
        name, content = (
            ("flickr_style.csv.gz", gzip.compress(content)) if packed else
            ("flickr_style.csv", content)
        )  # fmt: skip
        rows = FlickrStyle(folder=str(put(tmp_path, {name: content}))).read()
        assert labelled(rows) == FLICKR
        assert below(rows, tmp_path) == ["images/77_a.jpg", "images/78_b.jpg"]

    def test_the_lists_mean_the_same_wherever_they_were_written(self, tmp_path):
        put(
            tmp_path,
            {
                "train.txt": "/home/some body/caffe/data/flickr_style/images/77_a.jpg 0\n",
                "test.txt": "/elsewhere/78_b.jpg 19\n",
                "style_names.txt": "\n".join(STYLES),
            },
        )
        loader = FlickrStyle(folder=str(tmp_path), images=str(tmp_path / "pictures"))
        assert labelled(loader.read()) == FLICKR
        assert below(loader.read(), tmp_path / "pictures") == ["77_a.jpg", "78_b.jpg"]
        names = [file.name for file in loader.files()]
        assert names == ["train.txt", "test.txt", "style_names.txt", "77_a.jpg", "78_b.jpg"]

    def test_the_placeholder_of_dead_pictures_is_known(self):
        assert FlickrStyle(folder="x").placeholders() == {PLACEHOLDER}

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({"flickr_style.csv": HEAD + "1,u/a.jpg,p,20,train\n"}, "0 to 19, came '20'"),
            ({"flickr_style.csv": HEAD + "1,u/a.jpg,p,1,valid\n"}, r"splits: \['valid'\]"),
            ({"flickr_style.csv": HEAD + "1,u/a.jpg,p,,train\n"}, "1 of 1 lack one"),
            ({"flickr_style.csv": "a,b\n1,2\n"}, "expected Caffe's table"),
            ({"flickr_style.csv.gz": b"\x1f\x8bcut off"}, "expected Caffe's table"),
            ({"other.txt": ""}, r"train.txt: expected a path and the number.*No such file"),
            (
                {"train.txt": "a.jpg 0\n", "test.txt": "b.jpg\n"},
                "test.txt, line 1: expected a path",
            ),
        ],
    )
    def test_lists_that_are_none(self, tmp_path, files, message):
        with pytest.raises(DataError, match=message):
            FlickrStyle(folder=str(put(tmp_path, files))).read()


class TestWikiPaintings:
    COMPOSED = "Art_Nouveau_Modern/koloman-moser_fr\u00fchling.jpg"
    APART = "Art_Nouveau_Modern/koloman-moser_fru\u0308hling.jpg"
    DOUBLED = COMPOSED.encode().decode("latin-1")
    TWICE = DOUBLED.encode().decode("latin-1")
    CLASSES = "0 Abstract_Expressionism\n3 Art_Nouveau\n"

    def written(self, folder, *names):
        rows = "".join(f"{name},3\r\n" for name in names)
        return put(
            folder,
            {
                "Style/style_train.csv": rows + "Abstract_Expressionism/a(3).jpg,0\r\n",
                "Style/style_val.csv": "Abstract_Expressionism/b.jpg,0\r\n",
                "Style/style_class.txt": self.CLASSES,
            },
        )

    def test_folders_are_the_labels_and_line_ends_windows_own(self, tmp_path):
        rows = WikiPaintingsArtgan(folder=str(self.written(tmp_path, self.COMPOSED))).read()
        assert labelled(rows) == {
            self.COMPOSED: ("Art_Nouveau_Modern", "train"),
            "Abstract_Expressionism/a(3).jpg": ("Abstract_Expressionism", "train"),
            "Abstract_Expressionism/b.jpg": ("Abstract_Expressionism", "test"),
        }

    @pytest.mark.parametrize("there", [COMPOSED, APART, DOUBLED, TWICE])
    @pytest.mark.parametrize("listed", [COMPOSED, APART, DOUBLED, TWICE])
    def test_names_are_found_however_they_were_encoded(self, tmp_path, listed, there):
        folder = self.written(tmp_path, listed)
        put(folder, {there: b"", "Art_Nouveau_Modern/koloman-moser_fruhling.jpg": b"another"})
        loader = WikiPaintingsArtgan(folder=str(folder))
        assert below(loader.read(), folder)[0] == there
        assert folder / there in loader.files()

    def test_bytes_as_they_stand_come_first(self, tmp_path):
        folder = put(self.written(tmp_path, self.DOUBLED), {self.COMPOSED: b"", self.DOUBLED: b""})
        assert below(WikiPaintingsArtgan(folder=str(folder)).read(), folder)[0] == self.DOUBLED

    def test_a_name_that_several_files_could_be_is_none_of_them(self, tmp_path):
        folder = put(self.written(tmp_path, self.TWICE), {self.COMPOSED: b"", self.DOUBLED: b""})
        assert below(WikiPaintingsArtgan(folder=str(folder)).read(), folder)[0] == self.TWICE

    def test_a_name_that_is_no_text_is_turned_away(self, tmp_path):
        folder = self.written(tmp_path)
        (folder / "Style/style_val.csv").write_bytes(b"Baroque/\xff.jpg,2\r\n")
        [row] = WikiPaintingsArtgan(folder=str(folder)).read().filter(split="test").to_dicts()
        assert (row["image_id"], row["path"]) == ("Baroque/\\xff.jpg", None)
        assert "UTF-8" in row["reason"]

    def test_other_lists_are_not_taken_for_styles(self, tmp_path):
        folder = self.written(tmp_path, "Abstract_Expressionism/c.jpg")
        with pytest.raises(DataError, match=r"one number a style.* Artist and Genre"):
            WikiPaintingsArtgan(folder=str(folder)).read()

    def test_karayevs_rule(self, tmp_path):
        lines = ["image_id,style,genre"]
        lines += [f"{style}{i},{style},portrait" for style in "ab" for i in range(20)]
        lines += [f"c{i},c,portrait" for i in range(60)]
        lines += [f"few{i},few,portrait" for i in range(19)]
        lines += ["nothing,,portrait", "plain,a,", "c0,c,again"]
        put(tmp_path, {"wikipaintings.csv": "\n".join(lines)})
        rows = WikiPaintingsKarayev(folder=str(tmp_path), fewest=20).read()
        counts = Counter(zip(rows["labels"].list.first(), rows["split"], strict=True))
        tested = {style: counts[style, "test"] for style in "abc"}
        assert rows.height == 100
        assert sum(tested.values()) == 20
        assert min(tested.values()) >= 4  # a fifth of the smallest style of each
        assert below(rows, tmp_path)[0] == "images/a0.jpg"

    def test_which_list_it_is_stands_in_its_name(self):
        variants = {
            WikiPaintingsArtgan(folder="x").variant(), WikiPaintingsKarayev(folder="x").variant()
        }  # fmt: skip
        assert len(variants) == 2
        assert "Karayev's rule, styles of 1,000 or more with a genre" in variants

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("image_id,style\n1,a\n", "columns image_id, style, genre"),
            ("image_id,style,genre\n1,a,b\n", "styles of 1000 paintings"),
        ],
    )
    def test_tables_that_are_none(self, tmp_path, content, message):
        folder = put(tmp_path, {"wikipaintings.csv": content})
        with pytest.raises(DataError, match=message):
            WikiPaintingsKarayev(folder=str(folder)).read()


class TestAvaStyle:
    @pytest.mark.parametrize("place", ["", "style_image_lists/"])
    def test_train_has_one_label_and_test_any_number(self, tmp_path, place):
        put(tmp_path, {place + name: content for name, content in AVA.items()})
        loader = AvaStyle(folder=str(tmp_path))
        expected = {
            "615485": ("Complementary_Colors", "train"),
            "615595": ("HDR", "train"),
            "615561": ("Complementary_Colors|HDR", "test"),
            "615681": ("", "test"),
            "615746": ("Duotones", "test"),
        }
        assert labelled(loader.read()) == expected
        assert below(loader.read(), tmp_path)[0] == "images/615485.jpg"
        without = AvaStyle(folder=str(tmp_path), unlabelled=False)
        del expected["615681"]
        assert labelled(without.read()) == expected
        assert loader.variant() != without.variant()

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("train.lab", "1\n", "a line for each of the 2 ids"),
            ("train.lab", "1\n4\n", "line 2: expected the number of a style"),
            ("test.multilab", "1 0 1\n0 0\n0 1 0\n", "line 2: expected 0 or 1 for each of 3"),
            ("test.multilab", "1 0 1\n0 0 2\n0 1 0\n", "line 2: expected 0 or 1"),
            ("styles.txt", "one\n", "line 1: expected the number and name"),
            ("test.jpgl", "", "it is empty"),
        ],
    )
    def test_lists_that_are_none(self, tmp_path, name, content, message):
        put(tmp_path, {**AVA, name: content})
        with pytest.raises(DataError, match=message):
            AvaStyle(folder=str(tmp_path)).read()


class TestCaltech:
    def test_256(self, tmp_path):
        root = "256_ObjectCategories/"
        put(
            tmp_path,
            {
                f"{root}{name}": b""
                for name in (
                    "001.ak47/001_0001.jpg", "056.dog/056_0001.jpg", "056.dog/056_0002.JPG",
                    "056.dog/greg/056_0003.jpg", "198.spider/RENAME2", "198.spider/198_0001.jpg",
                    "257.clutter/257_0001.jpg", "056.dog/notes_0001.jpg",
                )
            },
        )  # fmt: skip
        loader = Caltech(folder=str(tmp_path))
        assert labelled(loader.read()) == {
            "001.ak47/001_0001.jpg": ("ak47", None),
            "056.dog/056_0001.jpg": ("dog", None),
            "056.dog/056_0002.JPG": ("dog", None),
            "198.spider/198_0001.jpg": ("spider", None),
        }
        assert loader.told == ("imagenet",)
        assert loader.draws() == Draws(5, 30)
        assert loader.variant() == "30 a class in train, all others in test"

    def test_101(self, tmp_path):
        names = ("Faces/image_0001.jpg", "Faces_easy/image_0001.jpg", "ant/image_0001.jpg",
                 "BACKGROUND_Google/image_0001.jpg", "BACKGROUND_Google/tmp")  # fmt: skip
        put(tmp_path, dict.fromkeys(names, b""))
        rows = Caltech(folder=str(tmp_path), train_per_class=5, test_per_class=20).read()
        assert set(rows["image_id"]) == {"Faces/image_0001.jpg", "ant/image_0001.jpg"}

    def test_a_folder_without_such_pictures(self, tmp_path):
        with pytest.raises(DataError, match=r"expected pictures as 001\.ak47"):
            Caltech(folder=str(put(tmp_path, {"dog/picture.jpg": b""}))).read()


class TestImageFolder:
    def test_a_folder_per_class(self, tmp_path):
        names = ("dog/1.jpg", "dog/old/2.PNG", "cat/1.webp", "cat/notes.txt", "3.jpg")
        rows = ImageFolder(folder=str(put(tmp_path, dict.fromkeys(names, b"")))).read()
        assert labelled(rows) == {
            "cat/1.webp": ("cat", None), "dog/1.jpg": ("dog", None), "dog/old/2.PNG": ("dog", None)
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("other", "sides"),
        [
            (("test",), {"train": "train", "test": "test"}),
            (("val",), {"train": "train", "val": "test"}),
            (("valid", "test"), {"train": "train", "valid": "train", "test": "test"}),
        ],
    )
    def test_folders_of_a_split(self, tmp_path, other, sides):
        names = [f"{side}/{label}/1.jpg" for side in ("train", *other) for label in ("dog", "cat")]
        rows = ImageFolder(folder=str(put(tmp_path, dict.fromkeys(names, b"")))).read()
        found = {image: side for image, (_, side) in labelled(rows).items()}
        assert found == {name: sides[name.split("/")[0]] for name in names}
        assert set(rows["labels"].list.first()) == {"dog", "cat"}

    def test_classes_called_like_sides_are_classes(self, tmp_path):
        names = ("train/1.jpg", "tram/1.jpg")
        rows = ImageFolder(folder=str(put(tmp_path, dict.fromkeys(names, b"")))).read()
        assert labelled(rows) == {"train/1.jpg": ("train", None), "tram/1.jpg": ("tram", None)}

    def test_no_picture(self, tmp_path):
        with pytest.raises(DataError, match="2 folders and no picture"):
            ImageFolder(folder=str(put(tmp_path, {"a/x.txt": b"", "b/y.txt": b""}))).read()


class TestLabelsCsv:
    def test_other_names_and_places_and_several_labels(self, tmp_path):
        content = "file;tags\n".replace(";", ",") + "a.png,red | round\nb.png,\nc.png,red|red\n"
        put(tmp_path, {"lists/tags.csv": content})
        loader = LabelsCsv(
            folder=str(tmp_path),
            file="lists/tags.csv",
            images="pictures",
            path_column="file",
            label_column="tags",
            separator="|",
        )
        assert labelled(loader.read()) == {
            "a.png": ("red|round", None), "b.png": ("", None), "c.png": ("red", None)
        }  # fmt: skip
        assert below(loader.read(), tmp_path)[0] == "pictures/a.png"

    def test_parquet(self, tmp_path):
        table = pl.DataFrame({"cover": ["a.png", None], "field": ["x", "y"], "other": [1, 2]})
        table.write_parquet(tmp_path / "p.parquet")
        loader = LabelsCsv(
            folder=str(tmp_path), file="p.parquet", path_column="cover", label_column="field"
        )
        rows = loader.read()
        assert rows["path"].to_list() == [str(tmp_path / "a.png"), None]
        assert rows["reason"].is_null().to_list() == [True, False]
        (tmp_path / "p.parquet").write_bytes(b"PAR1")
        with pytest.raises(DataError, match="expected a Parquet file"):
            loader.read()


EVERY = [
    FlickrStyle, WikiPaintingsArtgan, WikiPaintingsKarayev, AvaStyle, Caltech, ImageFolder,
    LabelsCsv,
]  # fmt: skip


@pytest.mark.parametrize("loader", EVERY)
def test_a_set_that_is_not_there(loader: type[TaskLoader], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    absent = loader(name=loader.model_fields["name"].default, folder="${NO_SUCH_VARIABLE}/set")
    assert not absent.is_there()
    assert absent.files()
    assert not any(file.exists() for file in absent.files())
    with pytest.raises(ConfigError, match=r"there is none. A variable in it is not set. Correct"):
        absent.read()


def test_every_loader_has_a_word() -> None:
    assert {TASK_LOADERS.find(name) for name in TASK_LOADERS.names()} == {*EVERY}


LISTS = Path(os.environ.get("CF_PIPELINE_DATASETS", "")) / "benchmark_lists"


@pytest.mark.skipif(
    "CF_PIPELINE_DATASETS" not in os.environ or not LISTS.is_dir(),
    reason="CF_PIPELINE_DATASETS names no folder with benchmark_lists",
)
@pytest.mark.parametrize(
    ("loader", "folder", "n_train", "n_test", "n_classes"),
    [
        (FlickrStyle, "flickr_style", 64_000, 16_000, 20),
        (WikiPaintingsArtgan, "wikiart_style", 57_025, 24_421, 27),
        (AvaStyle, "ava_style", 11_270, 2_809, 14),
    ],
)
def test_the_makers_lists(
    loader: type[TaskLoader], folder: str, n_train: int, n_test: int, n_classes: int
) -> None:
    rows = loader(name=loader.model_fields["name"].default, folder=str(LISTS / folder)).read()
    assert Counter(rows["split"]) == {"train": n_train, "test": n_test}
    assert rows["labels"].explode().drop_nulls().n_unique() == n_classes
    assert rows["reason"].null_count() == rows.height
    if folder == "ava_style":
        per_image = rows.filter(split="test")["labels"].list.len()
        assert Counter(per_image) == {0: 236, 1: 1487, 2: 921, 3: 157, 4: 8}
