"""Tests of writing an image's digest to where it is deployed from: real git repositories, ten writers at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from steps.common.step import ORDER

PROGRAM = Path(__file__).parents[2] / ".github" / "write_digest.py"
APPS = ("serving", "frontend", "registry")
REVISION = "5" * 40

IMAGES = "# By digest: a tag can be moved.\n" + "".join(
    f"{step}: localhost/appraiser-{step}:dev  # {step}\n" for step in ORDER
)
OUR_CHART = """\
# The image of {app}.
image: {{repository: docker.io/appraiser/{app}, digest: ""}}  # written by its workflow
replicas: 2
"""


def digest_of(image: str) -> str:
    return f"sha256:{image.encode().hex():0>64}"


def reference_of(image: str) -> str:
    return f"docker.io/appraiser/{image}@{digest_of(image)}"


def git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=Somebody", "-c", "user.email=somebody@localhost", "-c", "init.defaultBranch=main")
    ended = subprocess.run(
        ["git", *named, *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    return ended.stdout


def change(clone: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_text(text)
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "Change files")
    git(clone, "push", "--quiet", "origin", "HEAD:main")


class Remote:
    """A bare repository with a branch main, and clones of it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "remote.git"
        self.path.mkdir()
        git(self.path, "init", "--quiet", "--bare")
        self._folder = folder

    def clone(self, name: str) -> Path:
        """Return a clone of its own, of the newest commit alone, as a workflow has it."""
        git(self._folder, "clone", "--quiet", "--depth=1", self.path.as_uri(), name)
        return self._folder / name

    def text(self, path: str) -> str:
        """Return a file as it is on main."""
        return git(self.path, "show", f"main:{path}")


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    made = Remote(tmp_path)
    values = {f"helm-values/{app}.yaml": OUR_CHART.format(app=app) for app in APPS}
    change(made.clone("author"), {"dags/images.yaml": IMAGES, "README.md": "Read me.\n", **values})
    return made


def start(clone: Path, reference: str, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), reference, "--revision", REVISION, *more]
    return subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def write(clone: Path, reference: str, *more: str) -> tuple[int, str]:
    writer = start(clone, reference, *more)
    said, complained = writer.communicate(timeout=120)
    return writer.returncode, said + complained


def test_ten_writers_at_once_lose_nothing(remote: Remote) -> None:
    images = (*ORDER, *APPS)
    clones = {image: remote.clone(image) for image in images}
    writers = {image: start(clones[image], reference_of(image)) for image in images}
    ends = {image: (writer.communicate(timeout=300), writer.returncode) for image, writer in writers.items()}
    assert {image: end for image, end in ends.items() if end[1]} == {}
    expected = IMAGES
    for step in ORDER:
        expected = expected.replace(f"localhost/appraiser-{step}:dev", reference_of(step))
    assert remote.text("dags/images.yaml") == expected
    for app in APPS:
        chart = OUR_CHART.format(app=app)
        assert remote.text(f"helm-values/{app}.yaml") == chart.replace('""', f'"{digest_of(app)}"')
    # A commit each in one line of history, and nothing else touched.
    assert git(remote.path, "rev-list", "--count", "main").strip() == str(1 + len(images))
    assert git(remote.path, "rev-list", "--merges", "main") == ""
    assert remote.text("README.md") == "Read me.\n"


def test_somebody_elses_push_in_between_is_kept(remote: Remote) -> None:
    stale = remote.clone("stale")
    change(remote.clone("quicker"), {"dags/images.yaml": IMAGES.replace("# train", "# the long one")})
    assert write(stale, reference_of("train"))[0] == 0
    assert f"train: {reference_of('train')}  # the long one\n" in remote.text("dags/images.yaml")


def test_a_person_in_the_clone_loses_no_work(remote: Remote) -> None:
    clone = remote.clone("person")
    (clone / "dags" / "images.yaml").write_text("half an edit")
    (clone / "README.md").write_text("staged")
    git(clone, "add", "README.md")
    assert write(clone, reference_of("clean"))[0] == 0
    assert (clone / "dags" / "images.yaml").read_text() == "half an edit"
    assert git(clone, "status", "--porcelain").splitlines() == ["M  README.md", " M dags/images.yaml"]


def test_a_second_time_changes_nothing(remote: Remote) -> None:
    clone = remote.clone("twice")
    first = write(clone, reference_of("tune"))
    head = git(remote.path, "rev-parse", "main")
    second = write(clone, reference_of("tune"))
    assert first == (0, f"{reference_of('tune')}: dags/images.yaml\n")
    assert second == (0, f"{reference_of('tune')}: was there already\n")
    assert git(remote.path, "rev-parse", "main") == head


def commit(remote: Remote, name: str) -> str:
    change(remote.clone(name), {"README.md": f"Read {name}.\n"})
    return git(remote.path, "rev-parse", "main").strip()


def test_a_job_run_again_does_not_replace_the_image_of_a_later_commit(remote: Remote) -> None:
    older, newer = commit(remote, "older"), commit(remote, "newer")
    reference = reference_of("tune")
    assert write(remote.clone("first"), reference, "--revision", newer)[0] == 0
    code, said = write(remote.clone("again"), f"{reference[:-1]}0", "--revision", older)
    assert code == 1
    assert f"tune of {newer[:12]} is deployed, which came after {older[:12]}" in said
    assert reference in remote.text("dags/images.yaml")
    # Another image of the older commit, and the same commit built once more, are no steps back.
    assert write(remote.clone("another"), reference_of("train"), "--revision", older)[0] == 0
    assert write(remote.clone("rebuilt"), f"{reference[:-1]}1", "--revision", newer)[0] == 0
    assert f"{reference[:-1]}1" in remote.text("dags/images.yaml")


def test_an_image_of_a_commit_that_is_gone_from_the_branch_can_be_replaced(remote: Remote) -> None:
    assert write(remote.clone("gone"), reference_of("tune"))[0] == 0
    newer = f"{reference_of('tune')[:-1]}0"
    assert write(remote.clone("writer"), newer, "--revision", commit(remote, "kept"))[0] == 0
    assert newer in remote.text("dags/images.yaml")


def test_a_branch_that_takes_no_push_is_said_in_its_own_words(remote: Remote) -> None:
    hook = remote.path / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho 'main takes merges alone' >&2\nexit 1\n")
    hook.chmod(0o755)
    code, said = write(remote.clone("refused"), reference_of("tune"), "--rounds", "2")
    assert code == 1
    assert said.count("main takes merges alone") == 2
    assert "was not written in 2 rounds" in said


def test_the_commit_says_what_it_deploys(remote: Remote) -> None:
    write(remote.clone("said"), reference_of("tune"))
    said = git(remote.path, "log", "-1", "--format=%an%n%B", "main")
    assert said.startswith("github-actions[bot]\nDeploy tune of 555555555555\n")
    assert digest_of("tune") in said
    assert REVISION in said


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("image:\n  digest: {old}\n  repository: {image}\n", None, id="plain, before the repository"),
        pytest.param("image:\n  repository: {image}\n  digest:  # none yet\n", None, id="empty"),
        pytest.param("jobs:\n- image: {{repository: '{image}', digest: 'old'}}\n", None, id="in a list, quoted"),
        pytest.param("defaultAirflowRepository: {image}\ndefaultAirflowDigest: ~\n", None, id="keys with a prefix"),
        pytest.param('init:\n  repository: {image}\n  tag: "3.17.2"\n', '"3.17.2@{digest}"', id="a tag alone"),
        pytest.param('init:\n  repository: {image}\n  tag: "3@{old}"\n', '"3@{digest}"', id="a tag with a digest"),
        pytest.param("a: {{repository: {image}, tag: 1, digest: ''}}\n", None, id="a tag and a digest"),
    ],
)
def test_every_way_a_chart_names_an_image(remote: Remote, before: str, after: str | None) -> None:
    old = f"sha256:{'0' * 64}"
    other = "other: {repository: docker.io/appraiser/fetcher, digest: ''}  # not this one\n"
    text = other + before.format(image="docker.io/appraiser/fetch", old=old)
    change(remote.clone("chart"), {"helm-values/migrations.yaml": text})
    clone = remote.clone("writer")
    assert write(clone, reference_of("fetch"))[0] == 0
    written = remote.text("helm-values/migrations.yaml")
    assert written.startswith(other)
    assert written.count(digest_of("fetch")) == 1
    assert old not in written
    assert (after or "{digest}").format(digest=digest_of("fetch")) in written
    # Both places in one commit: the step and the migrations are one image.
    assert git(remote.path, "show", "--name-only", "--format=", "main").split() == [
        "dags/images.yaml",
        "helm-values/migrations.yaml",
    ]


@pytest.mark.parametrize(
    ("files", "reference", "sentence"),
    [
        ({}, reference_of("airflow"), "neither dags/images.yaml nor a file of helm-values/ deploys"),
        ({}, "docker.io/appraiser/fetch:1", "is not an image by digest"),
        ({}, "docker.io/appraiser/fetch@sha256:abc", "is not an image by digest"),
        (
            {"helm-values/a.yaml": "a: {repository: docker.io/appraiser/airflow}\n"},
            reference_of("airflow"),
            "neither digest nor tag beside it",
        ),
        ({"helm-values/a.yaml": "a: {\n"}, reference_of("fetch"), "helm-values/a.yaml"),
    ],
)
def test_what_cannot_be_deployed_is_refused(
    remote: Remote, files: dict[str, str], reference: str, sentence: str
) -> None:
    if files:
        change(remote.clone("chart"), files)
    head = git(remote.path, "rev-parse", "main")
    code, said = write(remote.clone("writer"), reference)
    assert code != 0
    assert sentence in said
    assert git(remote.path, "rev-parse", "main") == head
