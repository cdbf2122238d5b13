"""A page's worth of content from covers that are drawn here: what a warehouse would have said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cf_pipeline.gallery.boards import COLD, FACTORS, PROBE, SIMILARITY, headlines_of
from cf_pipeline.gallery.content import (
    Board,
    BoardRow,
    ClusterCard,
    CoverMap,
    Facts,
    Gallery,
    Interval,
    Label,
    Misplacements,
    PlacedTwice,
    QueryPanel,
    Retrieval,
)
from cf_pipeline.gallery.pictures import Atlas, Thumbnail, atlas, thumbnails
from cf_pipeline.gallery.task_panels import ClassRow, TaskPanel

N, N_CLUSTERS = 120, 4
HOSTILE = '</script><img src=x onerror="alert(1)"> & "quotes"'
"""The title of the first cover."""
COLOURS = ("#c0392b", "#2471a3", "#1e8449", "#b9770e")


def ids(n: int = N) -> tuple[str, ...]:
    return tuple(f"p{row:03d}" for row in range(n))


def draw_covers(folder: Path, n: int = N) -> dict[str, Path]:
    """Discs of a cluster's colour on white, some wide, some high."""
    folder.mkdir()
    paths = {}
    for row, id_ in enumerate(ids(n)):
        size = ((90, 60), (60, 90), (80, 80))[row % 3]
        image = Image.new("RGB", size, "white")
        inset = 6 + row % 11
        box = (inset, inset, size[0] - inset, size[1] - inset)
        ImageDraw.Draw(image).ellipse(box, fill=COLOURS[row % N_CLUSTERS])
        paths[id_] = folder / f"{id_}.png"
        image.save(paths[id_])
    return paths


def small_gallery(paths: dict[str, Path]) -> Gallery:
    everyone = tuple(paths)
    boards = small_boards()
    return Gallery(
        facts=Facts(
            "discs", "m" * 16, "predicted_factors", len(paths), 9, {"train": 80, "test": 20}
        ),
        headlines=headlines_of(boards),
        boards=boards,
        clusters=tuple(card(number, everyone) for number in range(N_CLUSTERS)),
        retrieval=Retrieval(
            "ndcg_at_10",
            "predicted_factors",
            20,
            {name: (panel(everyone, at),) for at, name in enumerate(("best", "median", "worst"))},
        ),
        wrong=Misplacements(
            tuple(np.linspace(0.1, 1.4, 30).tolist()),
            (PlacedTwice(everyone[7], 1.4, everyone[20:25], everyone[30:35]),),
            (PlacedTwice(everyone[8], 0.1, everyone[40:45], everyone[40:45]),),
        ),
        map=small_map(everyone),
        labels={
            id_: Label(HOSTILE if row == 0 else f"Disc number {row}", "round", path)
            for row, (id_, path) in enumerate(paths.items())
        },
    )


def small_map(everyone: tuple[str, ...]) -> CoverMap:
    """Four heaps in the corners; every tenth cover lies in no cluster."""
    rng = np.random.default_rng(0)
    rows = np.arange(len(everyone))
    corners = np.stack([rows % N_CLUSTERS // 2, rows % 2], axis=1) * 0.7 + 0.15
    places = np.clip(corners + 0.05 * rng.normal(size=corners.shape), 0, 1).astype(np.float32)
    near = {
        id_: tuple(everyone[(row + step * N_CLUSTERS) % len(everyone)] for step in range(1, 11))
        for row, id_ in enumerate(everyone)
    }
    return CoverMap(
        everyone,
        places,
        tuple(None if row % 10 == 9 else int(row % N_CLUSTERS) for row in rows),
        near,
        {id_: found[::-1] for id_, found in near.items()},
    )


def card(number: int, everyone: tuple[str, ...]) -> ClusterCard:
    words = (f"word{number}", "disc & <b>")
    return ClusterCard(
        number, 30, words, {"tag": ((words[0], 0.5), (words[1], 0.25))}, everyone[number::4][:12]
    )


def panel(everyone: tuple[str, ...], at: int) -> QueryPanel:
    return QueryPanel(everyone[at], 1 - at / 2, 0.5, everyone[10:20], everyone[12:22])


def below() -> TaskPanel:
    row = ClassRow(HOSTILE, 0.5, 0.25, 9)
    return TaskPanel("9 images listed.", (f"imagenet: {HOSTILE}",), "accuracy", (row,), ())


def small_boards() -> dict[str, tuple[Board, ...]]:
    value, apart = Interval(0.3, 0.25, 0.35), Interval(0.05, 0.01, 0.09)
    rows = (
        BoardRow("popularity", Interval(0.1, None, None)),
        BoardRow("imagenet", Interval(0.25, 0.2, 0.3)),
        BoardRow("collaborative", value, apart),
        BoardRow("predicted_factors", value, apart, marked=True),
        BoardRow("latent_factors", None),
    )
    return {
        FACTORS: (Board("recall", "recall_at_20", None, (BoardRow("factors", value), *rows[:1])),),
        SIMILARITY: (
            Board("ndcg_at_10, test", "ndcg_at_10", "imagenet", rows),
            Board("triplets, test", "triplet_accuracy", "imagenet", rows, is_first=False),
        ),
        PROBE: (Board("shapes: accuracy", "mean_class_accuracy", None, rows, panel=below()),),
        COLD: (Board("auc, test", "auc", None, rows),),
    }


def pictured(gallery: Gallery) -> tuple[dict[str, Thumbnail], Atlas]:
    labels = gallery.labels
    return (
        thumbnails({id_: labels[id_].path for id_ in gallery.pictured()}),
        atlas([labels[id_].path for id_ in gallery.map.project_ids]),
    )
