"""What makes an image unfit: what it says of itself, whom it runs as, how large it is; and which images there are."""

from typing import Any

import pytest

from local.container_images import IMAGES, Built, ImageUnfit, main, modules_of, refuse_bad_configuration, table_of
from tests.servers import ROOT

ARGUMENTS = {"REVISION": "abc", "VERSION": "1.2.3", "BUILT_AT": "2026-11-26T12:00:00+00:00"}
LABELS = {
    "org.opencontainers.image.source": "https://example.org/here",
    "org.opencontainers.image.revision": "abc",
    "org.opencontainers.image.version": "1.2.3",
    "org.opencontainers.image.created": "2026-11-26T12:00:00+00:00",
}
VARIABLES = ["PATH=/bin", "APPRAISER_GIT_SHA=abc", "APPRAISER_BUILT_AT=2026-11-26T12:00:00+00:00"]
CONFIGURATION: dict[str, Any] = {"User": "10001:10001", "Env": VARIABLES, "Labels": LABELS}


def test_an_image_that_says_what_it_is_made_of_is_fit() -> None:
    refuse_bad_configuration(CONFIGURATION, ARGUMENTS)


@pytest.mark.parametrize(("wrong", "named"), [
    ({"Labels": None}, "label org.opencontainers.image.revision is None"),
    ({"Labels": {**LABELS, "org.opencontainers.image.version": "1.2.2"}}, "version is '1.2.2', built with '1.2.3'"),
    ({"Labels": {**LABELS, "org.opencontainers.image.source": ""}}, "image.source is empty"),
    ({"Env": VARIABLES[:2]}, "APPRAISER_BUILT_AT is None"),
    ({"Env": [*VARIABLES, "APPRAISER_GIT_SHA=old"]}, "APPRAISER_GIT_SHA is 'old'"),
    ({"User": ""}, "user is ''"),
    ({"User": "appraiser"}, "user is 'appraiser'"),
    ({"User": "10001:appraiser"}, "user is '10001:appraiser'"),
    ({"User": "0:0"}, "user is '0:0'"),
])  # fmt: skip
def test_an_image_that_does_not_is_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ImageUnfit, match=named):
        refuse_bad_configuration(CONFIGURATION | wrong, ARGUMENTS)


@pytest.mark.parametrize(("name", "megabytes", "too_large"), [
    ("fetch", 44.9, False), ("fetch", 45.1, True), ("promote", 110.1, True), ("airflow", 5000, False),
])  # fmt: skip
def test_an_image_is_too_large_beyond_its_own_limit(name: str, megabytes: float, too_large: bool) -> None:
    built = Built(IMAGES[name], name, int(megabytes * 1e6), int(1e9), 12.0)
    assert built.too_large is too_large
    shown = list(table_of([built]).columns[-1].cells)
    assert shown == ["TOO LARGE" if too_large else "runs"]


def test_an_unknown_image_is_named_beside_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main({"IMAGES": "fetch, tain"}) == 2
    said = capsys.readouterr().err
    assert "there is no image tain; the images are fetch, validate, clean" in said


def test_the_modules_of_an_image_are_those_of_its_own_folder() -> None:
    found = modules_of(ROOT / "steps" / "promote")
    assert {"steps.promote.promote", "steps.promote.__main__"} <= set(found)
    assert "frontend.app" not in modules_of(ROOT / "frontend")
