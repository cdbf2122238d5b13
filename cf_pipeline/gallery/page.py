"""The page: templates, style and scripts of `page_files` put into one file with all it shows."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from cf_pipeline.errors import DataError
from cf_pipeline.gallery.boards import number
from cf_pipeline.gallery.colours import NONE, PALETTE
from cf_pipeline.gallery.content import Gallery
from cf_pipeline.gallery.meanings import meanings_of
from cf_pipeline.gallery.packing import packed
from cf_pipeline.gallery.pictures import Atlas, Thumbnail

FILES = Path(__file__).with_name("page_files")
MOST_BYTES = 10_000_000
STYLE = "page.css"
_SCRIPTS = ("data.js", "view.js", "words.js", "hand.js")
_BINS = 24


def page_files() -> list[Path]:
    """Templates, style and scripts, sorted: what a page depends on beside code and data."""
    return sorted(path for path in FILES.iterdir() if path.suffix in {".html", ".css", ".js"})


def page_of(
    gallery: Gallery,
    thumbs: Mapping[str, Thumbnail],
    pictures: Atlas,
    most_bytes: int = MOST_BYTES,
) -> bytes:
    """The page as UTF-8; the same content gives the same bytes.

    Args:
        gallery: what it shows.
        thumbs: of `gallery.pictured()`.
        pictures: tiles of the covers on its map.
        most_bytes: what it may weigh.

    Raises:
        DataError: it is larger.
    """
    style = text_of(STYLE)
    script = '"use strict";\n' + "\n".join(text_of(name) for name in _SCRIPTS)
    map_data = packed(gallery.map, gallery.labels, gallery.clusters, pictures)
    fills = {
        int(number): PALETTE[known["colour"]] for number, known in map_data["clusters"].items()
    }
    text = (
        environment()
        .get_template("page.html")
        .render(
            facts=gallery.facts,
            headlines=gallery.headlines,
            boards=gallery.boards,
            talk=gallery.talk,
            meanings=meanings_of(gallery.boards),
            clusters=gallery.clusters,
            cluster_fill={card.cluster: fills.get(card.cluster, NONE) for card in gallery.clusters},
            retrieval=gallery.retrieval,
            wrong=gallery.wrong,
            histogram=histogram(gallery.wrong.distances),
            labels=gallery.labels,
            thumbs=thumbs,
            mapped=frozenset(gallery.map.project_ids),
            n_mapped=len(gallery.map.project_ids),
            map_data=map_data,
            # Neither file holds a closing tag, and both are this package's own.
            style=Markup(style),
            script=Markup(script),
            style_hash=source_hash(style),
            script_hash=source_hash(script),
        )
    )
    page = text.strip().encode() + b"\n"
    if len(page) > most_bytes:
        raise DataError(
            f"the gallery has {len(page):,} bytes, expected at most {most_bytes:,}: covers "
            f"{sum(map(len, pictures.sheets)):,} on the map, "
            f"{sum(len(small.webp) for small in thumbs.values()):,} beside it. Fewer clusters "
            "(factorization.n_clusters) make it smaller."
        )
    return page


def histogram(distances: Sequence[float]) -> dict[str, Any] | None:
    """Bars of the distances for a drawing 440 wide and 220 high; None where there are none.

    Args:
        distances: from 0 to 2.

    Returns:
        `bars` (`x, y, width, height`), `ticks` (`x, label`), `median`, `median_x`, and `said`, the
        same in words.
    """
    if not distances:
        return None
    left, width, floor, height = 16.0, 408.0, 180.0, 150.0
    most = 2.0 if max(distances) > 1.5 else 1.5
    counts, _ = np.histogram(distances, bins=_BINS, range=(0.0, most))
    step = width / _BINS
    median = float(np.median(distances))
    low, high = (float(each) for each in np.quantile(distances, (0.1, 0.9)))
    return {
        "bars": [
            {
                "x": round(left + step * row + 1, 1),
                "y": round(floor - height * int(n) / counts.max(), 1),
                "width": round(step - 2, 1),
                "height": round(height * int(n) / counts.max(), 1),
            }
            for row, n in enumerate(counts)
        ],
        "ticks": [
            {"x": round(left + width * at / most, 1), "label": f"{at:g}"}
            for at in np.arange(0, most + 0.25, 0.5)
        ],
        "median": median,
        "median_x": round(left + width * min(median, most) / most, 1),
        "said": f"Half of {len(distances):,} held-out covers are within {median:.2f} of their "
        f"place, a tenth within {low:.2f}, nine tenths within {high:.2f}.",
    }


def environment() -> jinja2.Environment:
    """What templates of `page_files` are rendered by; everything is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FILES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment


def text_of(name: str) -> str:
    """A file of `page_files`."""
    return (FILES / name).read_text(encoding="utf-8")


def source_hash(text: str) -> str:
    """What a content security policy lets through: this very text and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
