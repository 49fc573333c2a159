"""What `make run` accepts, what it refuses, and how sources are told apart."""

from pathlib import Path

import pytest

from local.settings import Ports, parse


def write_batch(folder: Path, name: str = "batch_0.csv") -> None:
    columns = "brokered_by,status,price,bed,bath,acre_lot,street,city,state,zip_code,house_size,prev_sold_date"
    (folder / name).write_text(f"{columns}\n1,for_sale,1000,1,1,1,1,A,B,1001,900,2020-01-01\n")


def test_without_anything_it_is_the_synthetic_source_to_its_end() -> None:
    settings = parse([], {})
    assert (settings.source, settings.scale, settings.batches, settings.exit_at_end) == ("synthetic", 1.0, None, False)
    assert settings.ports == Ports()
    assert settings.state.name.startswith("synthetic-")
    assert settings.state.parent.name == ".local"


def test_variables_and_options_say_the_same_and_options_win(tmp_path: Path) -> None:
    variables = {"SCALE": "0.5", "BATCHES": "3", "EXIT": "1", "PORT_AIRFLOW": "20001", "STATE_FOLDER": str(tmp_path)}
    settings = parse(["--batches", "2"], variables)
    assert (settings.scale, settings.batches, settings.exit_at_end) == (0.5, 2, True)
    assert settings.ports.airflow == 20001
    assert settings.state.parent == tmp_path


def test_an_empty_variable_is_none() -> None:
    assert parse([], dict.fromkeys(("SOURCE", "SCALE", "BATCHES", "EXIT", "DAY", "GROUP"), "")) == parse([], {})


def test_variables_of_the_shell_and_of_kubernetes_mean_nothing_here() -> None:
    foreign = {"HOME": "/nowhere", "POSTGRES_PORT": "tcp://10.0.0.1:5432", "MLFLOW_PORT": "tcp://10.0.0.1:5000"}
    assert parse([], foreign) == parse([], {})


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--source", "/not/there"], "SOURCE: /not/there: neither `synthetic` nor a folder"),
        (["--source", "http://"], "names no host"),
        (["--batches", "0"], "--batches: 0 is not at least 1"),
        (["--batches", "two"], "invalid"),
        (["--trials", "1"], "--trials: 1: Input should be greater than or equal to 2"),
        (["--trials", "501"], "--trials: 501: Input should be less than or equal to 500"),
        (["--trials", "many"], "--trials: many: Input should be a valid integer"),
        (["--scale", "nan"], "--scale: nan is not a positive number"),
        (["--scale", "-1"], "--scale: -1 is not a positive number"),
        (["--source", "http://127.0.0.1:9", "--scale", "2"], "SCALE is the number of synthetic rows"),
        (["--exit", "perhaps"], "--exit: perhaps is neither 1 nor 0"),
        (["--port-mlflow", "70000"], "--port-mlflow: 70000 is not a port"),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
    ],
)
def test_wrong_options_are_argparses_error(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments, {})
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_an_empty_folder_is_no_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--source", str(tmp_path)], {})
    assert "holds no file batch_<n>.parquet" in capsys.readouterr().err


def test_every_source_has_a_state_of_its_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_batch(tmp_path / name)
    write_batch(tmp_path / "two", "batch_1.csv")
    asked = [
        [], ["--scale", "0.5"], ["--source", str(tmp_path / "one")], ["--source", str(tmp_path / "two")],
        ["--source", "http://127.0.0.1:9"], ["--source", "http://127.0.0.1:9", "--group", "2"],
    ]  # fmt: skip
    states = [parse(arguments, {}).state for arguments in asked]
    assert len(set(states)) == len(asked)
    assert states == [parse(arguments, {}).state for arguments in asked]


def test_settings_of_the_steps_that_are_the_users_to_choose_are_passed_on() -> None:
    given = {"APPRAISER_PROMOTE_POLICY": '{"confidence": 0}', "APPRAISER_LEDGER_URL": "postgresql://elsewhere"}
    settings = parse([], given).step_settings
    assert settings["APPRAISER_PROMOTE_POLICY"] == '{"confidence": 0}'
    assert "APPRAISER_LEDGER_URL" not in settings
