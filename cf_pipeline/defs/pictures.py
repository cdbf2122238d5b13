"""PNG bytes as metadata that the UI shows."""

import base64

import dagster as dg


def picture(png: bytes, alt: str) -> dg.MarkdownMetadataValue:
    """An inline image; the figures are below 100 KB each, so the event log stays small."""
    encoded = base64.b64encode(png).decode()
    return dg.MetadataValue.md(f"![{alt}](data:image/png;base64,{encoded})")
