"""The command `auxbench`: its group, and what becomes of errors."""

from __future__ import annotations

import io
import signal
import sys

import click

from auxbench import __version__
from auxbench.cli import boards, lists, parts, runs, study
from auxbench.cli.data import data
from auxbench.cli.results import results
from auxbench.errors import AuxbenchError, UsageError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="auxbench")
def auxbench() -> None:
    """Find out which auxiliary-learning methods really help, and at what cost."""


for command in (
    study.run,
    study.tune,
    study.plan,
    runs.status,
    runs.retry,
    lists.list_,
    lists.show,
    boards.leaderboard,
    boards.compare,
    boards.calibrate,
    parts.new,
    parts.check,
    data,
    results,
):
    auxbench.add_command(command)


def main() -> None:
    """Run the command line; a mistake is explained in one line and ends with exit code 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop runs as Ctrl-C does
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an arrow must not break a pipe that lacks it
    try:
        code = auxbench(standalone_mode=False)
    except click.exceptions.Exit as end:
        code = end.exit_code
    except click.ClickException as error:
        code = _complain(error.format_message())
    except click.Abort:
        code = _complain("stopped; the same command continues from here.", 130)
    except UsageError as error:
        code = _complain(str(error))
    except AuxbenchError as error:
        code = _complain(str(error), 1)
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough.
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str, code: int = 2) -> int:
    click.echo(f"auxbench: {' '.join(message.split())}", err=True)
    return code
