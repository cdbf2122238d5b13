"""Pictures that several tests draw."""

import numpy as np
from PIL import Image, ImageDraw

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def noise(width=40, height=30, seed=0):
    """Every pixel at random."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def saved(image, path, **options):
    """The path it was saved at."""
    image.save(path, **options)
    return path


def drawing(seed=0, side=128, proportions=1.0):
    """A coloured drawing on white: the same for the same seed, at any size."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (512, 512), "white")
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        x, y, width, height = rng.uniform(20, 300, 4)
        color = tuple(int(c) for c in rng.integers(0, 255, 3))
        draw.ellipse((x, y, x + width / 1.5, y + height / 1.5), fill=color)
    return image.resize((round(side * proportions), side), Image.Resampling.LANCZOS)


def star(n_points, radius):
    """A symmetric star of thin lines."""
    image = Image.new("RGB", (128, 128), "white")
    angles = np.linspace(0, 2 * np.pi, n_points, endpoint=False)
    draw = ImageDraw.Draw(image)
    for angle in angles:
        ends = [(64 + r * np.cos(angle), 64 + r * np.sin(angle)) for r in (radius, 60)]
        draw.line([c for end in ends for c in end], fill=(120, 120, 120))
    return image


def dot(x, y):
    image = Image.new("RGB", (128, 128), "white")
    ImageDraw.Draw(image).ellipse((x, y, x + 6, y + 6), fill="gray")
    return image
