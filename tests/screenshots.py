"""What a page looks like, for people to look at, and whether there is anything to see."""

from __future__ import annotations

import base64

from playwright.sync_api import Page

from ops import paths

# Where the newest of each stay; git does not see them.
FOLDER = paths.LOCAL / "screenshots"
# A page of one colour has one; the smoothing of a few letters alone makes a hundred, so the part below decides more.
LEAST_COLOURS = 50
# Of a page that shows something, that is not all of one colour.
MOST_OF_ONE_COLOUR = 0.97

_COUNT = """async (picture) => {
    const image = new Image();
    image.src = 'data:image/png;base64,' + picture;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext('2d');
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    const counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) || 0) + 1);
    return [counts.size, Math.max(...counts.values()) / pixels.length];
}"""


def take(page: Page, name: str) -> tuple[int, float]:
    """Keeps a picture of the whole page as `name`; how many colours it has, and the part (0 to 1) of the commonest."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    picture = page.screenshot(path=FOLDER / f"{name}.png", full_page=True)
    # In a page of its own: the one that is shown may not load pictures from elsewhere.
    blank = page.context.new_page()
    try:
        colours, share = blank.evaluate(_COUNT, base64.b64encode(picture).decode())
    finally:
        blank.close()
    return int(colours), float(share)


def shows_something(page: Page, name: str) -> None:
    """Fails where the page is all but empty."""
    colours, share = take(page, name)
    assert colours >= LEAST_COLOURS, f"{name}: {colours} colours"
    assert share <= MOST_OF_ONE_COLOUR, f"{name}: {share:.1%} is of one colour"
