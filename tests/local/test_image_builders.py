"""What the builders of images are told, and that a trial of an image has nothing that the strictest pod would not."""

from pathlib import Path

import pytest

from local.image_builders import PROGRAMS, Builder, BuilderMissing, Trial, bundle, engine_command, find

ARGUMENTS = {"REVISION": "abc", "VERSION": "1.2.3", "BUILT_AT": "2026-11-26T12:00:00+00:00"}
TRIAL = Trial(("python", "-m", "serving"), "54321:7", {"A": "b"}, {Path("/dags"): "/in/dags"})


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_builder_gets_the_arguments_and_the_flags_of_the_machine(program: str) -> None:
    words = Builder(program, ("--pull-never",)).build("docker.io/a/b:dev", Path("serving/Dockerfile"), ARGUMENTS)
    assert words[:6] == [program, "build", "--file", "serving/Dockerfile", "--tag", "docker.io/a/b:dev"]
    assert words[-2:] == ["--pull-never", "."]
    for name, value in ARGUMENTS.items():
        assert words[words.index(f"{name}={value}") - 1] == "--build-arg"


def test_buildah_is_told_the_revision_behind_the_layers_it_may_have_kept() -> None:
    words = Builder("buildah").build("docker.io/a/b:dev", Path("Dockerfile"), ARGUMENTS)
    assert "--layers" in words
    assert words[words.index("org.opencontainers.image.revision=abc") - 1] == "--label"
    assert words[words.index("APPRAISER_GIT_SHA=abc") - 1] == "--env"
    assert "--layers" not in Builder("docker").build("docker.io/a/b:dev", Path("Dockerfile"), ARGUMENTS)


def test_an_engine_runs_a_trial_as_the_strictest_pod() -> None:
    words = engine_command("podman", "docker.io/a/b:dev", TRIAL)
    assert words == [
        "podman", "run", "--rm", "--read-only", "--tmpfs", "/tmp", "--network", "none", "--cap-drop", "ALL",  # noqa: S108
        "--security-opt", "no-new-privileges", "--user", "54321:7", "--env", "A=b", "--volume", "/dags:/in/dags:ro",
        "--entrypoint", "python", "docker.io/a/b:dev", "-m", "serving",
    ]  # fmt: skip


def test_runc_runs_a_trial_as_the_strictest_pod() -> None:
    told = bundle("/unpacked", TRIAL, {"Env": ["PATH=/opt/venv/bin", "A=a"], "WorkingDir": "/app"})
    assert told["root"] == {"path": "/unpacked", "readonly": True}
    assert told["process"]["user"] == {"uid": 54321, "gid": 7}
    assert (told["process"]["capabilities"], told["process"]["noNewPrivileges"]) == ({}, True)
    assert told["process"]["cwd"] == "/app"
    # The last one counts.
    assert told["process"]["env"] == ["PATH=/opt/venv/bin", "A=a", "A=b"]
    assert {"type": "network"} in told["linux"]["namespaces"]
    mounted = {mount["destination"]: mount for mount in told["mounts"]}
    assert mounted["/tmp"]["type"] == "tmpfs"  # noqa: S108  the container's own
    assert mounted["/in/dags"]["options"] == ["rbind", "ro"]


@pytest.mark.parametrize("wanted", ["no-such-builder", ""])
def test_without_a_builder_a_sentence_says_what_was_looked_for(
    wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuilderMissing, match=wanted or "docker, podman, buildah"):
        find(wanted, ())


def test_a_builder_that_does_not_answer_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program, answer in (("docker", "exit 1"), ("podman", "exit 0")):
        (tmp_path / program).write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find("", ("--quiet",)) == Builder("podman", ("--quiet",))
