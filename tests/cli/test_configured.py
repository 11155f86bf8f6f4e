"""Where the values of options come from: the command line, environment variables, a configuration file."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from output_mock.cli import command
from output_mock.cli.configured import commands_of, variables_of
from tests.cli.commands import one_line, run
from tests.cli.test_cli import Serve, script, serve  # noqa: F401  (fixtures)

GOOD = "workflows: [{name: hello, returns: hi}]\n"


def test_every_option_of_these_commands_has_its_own_variable() -> None:
    commands = commands_of(command)
    assert {"serve", "check", "worker", "verify", "record", "replay"} <= set(commands)
    number = sum(len(one.settable()) for one in commands.values())
    names = variables_of(command)
    assert len(names) == number
    for name, (_, param) in names.items():
        assert isinstance(param.envvar, list)
        assert param.envvar[0] == name
    assert {"OUTPUT_MOCK_CLOCK", "OUTPUT_MOCK_SCRIPTS", "OUTPUT_MOCK_NO_HEALTH_LOG"} < set(names)
    assert {"OUTPUT_MOCK_VERIFY_URL", "OUTPUT_MOCK_WORKER_SCRIPTS"} < set(names)


def test_the_command_line_overrides_variables_and_variables_override_the_file(
    serve: Serve,  # noqa: F811
    script: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "hello.yaml").write_text(GOOD)
    (tmp_path / "workflows" / "_notes.yaml").write_text("not: a script\n")
    (tmp_path / "output-mock.toml").write_text(
        "[serve]\nscripts = ['workflows']\nclock = 'manual'\nseed = 5\ncatalog = 'of-file'\n"
        "timing = true\nfaults = ['slow']\nquiet = true\n[verify]\nstrict = true\n"
    )
    fake = serve(
        "--seed",
        "6",
        environment={"OUTPUT_MOCK_CATALOG": "mine", "OUTPUT_CATALOG_ID": "theirs", "OUTPUT_MOCK_FAULTS": ""},
    )
    assert " 1 workflow in catalog mine on " in fake.first_line
    assert "(clock manual, seed 6)" in fake.first_line
    assert [one["what"] for one in fake.get("/__mock__/faults").json["faults"]] != []
    assert fake.process.stdout is not None
    assert fake.process.stdout.readline() == "settings are from [serve] in output-mock.toml\n"
    # Scripts on the command line replace those of the file.
    other = serve(
        script,
        "--config",
        tmp_path / "output-mock.toml",
        environment={
            "OUTPUT_MOCK_QUIET": "0",
            "OUTPUT_MOCK_FAULTS": "flaky deploying",
            "OUTPUT_MOCK_CLOK": "x",
        },
    )
    assert " 5 workflows in catalog of-file " in other.first_line
    assert "output-mock has no variable OUTPUT_MOCK_CLOK, so it has no effect; did you mean" in other.log
    assert fake.stop() == 0
    assert fake.log == ""


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("OUTPUT_MOCK_CLOCK", "atuo", "'OUTPUT_MOCK_CLOCK': 'atuo' is not one of"),
        ("OUTPUT_MOCK_SEED", "x", "'OUTPUT_MOCK_SEED': 'x' is not a seed"),
        ("OUTPUT_MOCK_WATCH", "perhaps", "'OUTPUT_MOCK_WATCH': 'perhaps' is not a valid boolean"),
        ("OUTPUT_MOCK_FAULTS", "slow fast", "'OUTPUT_MOCK_FAULTS': there is no preset 'fast'"),
        ("OUTPUT_MOCK_EXECUTION_TIMEOUT", "600000", "'OUTPUT_MOCK_EXECUTION_TIMEOUT': '600000' is not a"),
        ("OUTPUT_MOCK_SCRIPTS", "no/such.yaml", "no/such.yaml: there is no such file"),
        ("OUTPUT_MOCK_CONFIG", "no-such.toml", "'OUTPUT_MOCK_CONFIG': File 'no-such.toml' does not exist"),
        (
            "OUTPUT_API_PORT",
            "tcp://10.0.0.7:80",
            "there is a service with the name output-api; set enableServiceLinks: false",
        ),
        (
            "OUTPUT_MOCK_PORT",
            "tcp://10.0.0.7:80",
            "there is a service with the name output-mock; set enableServiceLinks: false",
        ),
    ],
)
def test_an_error_names_the_variable_of_an_invalid_value(
    variable: str, value: str, words: str, tmp_path: Path
) -> None:
    assert words in one_line(run("serve", environment={variable: value}, cwd=tmp_path))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[serve]\nclock = 'atuo'\n", "'clock' of [serve] in output-mock.toml: 'atuo' is not one of"),
        (
            "[serve]\nclok = 'auto'\n",
            "output-mock.toml: [serve] has no setting 'clok'; did you mean 'clock'?",
        ),
        ("[serve]\nwatch = 'yes'\n", "output-mock.toml: 'watch' of [serve] must be true or false, not 'yes'"),
        ("[serve]\nhost = true\n", "'host' of [serve] must be a text or a number, not True"),
        (
            "[serve]\nfaults = [1.5, []]\n",
            "'faults' of [serve] must be a text or a number, or a list of these",
        ),
        ("[serve]\nseed = -1\n", "'seed' of [serve] in output-mock.toml: '-1' is not a seed"),
        ("[sevre]\n", "no command has settings in a table 'sevre'; did you mean 'serve'?"),
        ("clock = 'auto'\n", "no command has settings in a table 'clock'; write it below [serve]"),
        ("serve = 1\n", "'serve' must be a table; write [serve]"),
        ("[serve\n", "output-mock.toml: the file is not valid TOML: "),
    ],
)
def test_an_error_names_the_file_and_key_of_an_invalid_value(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "output-mock.toml").write_text(text)
    assert words in one_line(run("serve", cwd=tmp_path))


def test_settings_come_from_the_project_file_and_paths_are_relative_to_it(
    tmp_path: Path,
) -> None:
    project = tmp_path / "pyproject.toml"
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "a.yaml").write_text(GOOD)
    project.write_text("[project]\ndependencies = ['output-mock']\n")
    assert "Missing argument 'SCRIPT...'" in one_line(run("check", cwd=tmp_path))
    project.write_text("[tool.output-mock.check]\nscripts = 'flows'\n")
    assert run("check", cwd=tmp_path).stdout == "flows/a.yaml: ok, 1 workflow: hello\n"
    elsewhere = run("check", "--config", project, cwd=tmp_path / "flows")
    assert elsewhere.stdout == f"{tmp_path}/flows/a.yaml: ok, 1 workflow: hello\n"
    project.write_text("[tool.output-mock.check]\nscript = 'flows'\n")
    assert "[tool.output-mock.check] has no setting 'script'; did you mean 'scripts'?" in one_line(
        run("check", cwd=tmp_path)
    )


def test_several_scripts_in_a_variable_are_separated_like_the_entries_of_path(tmp_path: Path) -> None:
    for name in ("a b.yaml", "c.yaml"):
        (tmp_path / name).write_text(GOOD.replace("hello", name[0]))
    ended = run("check", environment={"OUTPUT_MOCK_CHECK_SCRIPTS": "a b.yaml:c.yaml"}, cwd=tmp_path)
    assert ended.stdout == "a b.yaml: ok, 1 workflow: a\nc.yaml: ok, 1 workflow: c\n"


def test_help_explains_the_other_ways_to_set_options() -> None:
    text = " ".join(run("verify", "--help").stdout.split())
    assert "such as OUTPUT_MOCK_VERIFY_" in text
    assert "The command line wins over variables, and variables win over the file." in text


def test_commands_that_only_print_something_ignore_the_settings() -> None:
    for name in ("openapi", "schema", "versions", "pack"):
        assert isinstance(command.commands[name], click.Command)
        assert name not in commands_of(command)
