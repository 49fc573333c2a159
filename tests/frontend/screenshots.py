"""Every tab at a phone's and a desktop's width, in light and in dark, as pictures to look at: `make screenshots`.

Not a test of anything: run by name, never collected.
"""

from itertools import product
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

from frontend.texts import every
from tests.frontend.conftest import Shown
from tests.frontend.running import DESKTOP, PHONE, open_page, open_tab, settled, window
from tests.servers import ROOT

FOLDER = ROOT / ".screenshots"
# Those the README shows; what is in them beside prices is a test's history, made up.
PICTURES = ROOT / "frontend" / "pictures"
README = {("predict", "desktop", "light"), ("explain", "desktop", "light")}
TALLEST = 1310
WIDTHS: dict[str, ViewportSize] = {"desktop": DESKTOP, "phone": PHONE}
LOOKS = list(product(WIDTHS, ("light", "dark")))


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_pictures(shown: Shown, browser: Browser, width: str, scheme: str) -> None:
    FOLDER.mkdir(exist_ok=True)
    PICTURES.mkdir(exist_ok=True)
    with window(browser, viewport=WIDTHS[width], color_scheme=scheme) as page:
        open_page(page, shown.frontend.url)
        for tab in ("predict", "batch", "explain", "models", "batches", "why"):
            open_tab(page, every()[f"tab.{tab}"]["en"])
            if tab == "predict":
                page.get_by_role("button", name=every()["predict.button"]["en"]).click()
                page.get_by_role("button", name=every()["predict.why"]["en"]).wait_for()
                settled(page)
            if tab == "batch":
                _price_a_file(page)
            taken = FOLDER / f"{tab}-{width}-{scheme}.png"
            _whole(page, WIDTHS[width], taken)
            if (tab, width, scheme) in README:
                _keep(taken, PICTURES / f"{tab}.png")


def _price_a_file(page: Page) -> None:
    rows = ["status,bed,bath,house_size,state,zip_code,city"]
    rows += [f"for_sale,{1 + n % 5},{1 + n % 3},{900 + 25 * n},Vermont,0{1203 + 7 * (n % 10)},Stowe" for n in range(60)]
    rows += ["for_sale,99,2,1800,Vermont,01203,Stowe", "sold,three,2,1800,Vermont,01203,Stowe"]
    page.locator("input[type=file]").set_input_files(
        {"name": "houses.csv", "mimeType": "text/csv", "buffer": "\n".join(rows).encode()}
    )
    page.get_by_role("button", name="Price 62 rows").click()
    page.get_by_text(every()["batch.refusals"]["en"]).wait_for()
    settled(page)


def _keep(taken: Path, kept: Path) -> None:
    """Make a picture small enough for a repository: its beginning, in few colours."""
    picture = Image.open(taken).convert("RGB")
    begin = picture.crop((0, 0, picture.width, min(picture.height, TALLEST)))
    begin.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(kept, optimize=True)


def _whole(page: Page, size: ViewportSize, path: Path) -> None:
    """Take all of the page, not only what fits the window: Streamlit scrolls inside it."""
    height = page.evaluate("() => document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight + 80")
    page.set_viewport_size({"width": size["width"], "height": max(int(height), size["height"])})
    page.wait_for_timeout(900)
    page.screenshot(path=path)
    page.set_viewport_size(size)
