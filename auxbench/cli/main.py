"""The command `auxbench`: its group, and the handling of errors."""

from __future__ import annotations

import io
import os
import signal
import sys

import click

from auxbench import __version__
from auxbench.cli import boards, lists, parts, runs, study
from auxbench.cli.advise import advise
from auxbench.cli.data import data
from auxbench.cli.deploy import deploy
from auxbench.cli.export import export
from auxbench.cli.results import results
from auxbench.errors import AuxbenchError, UsageError, reason, visible
from auxbench.execution.executor import launched
from auxbench.records.commit import in_words


def _say_version(context: click.Context, option: click.Parameter, asked: bool) -> None:
    """Print the version, and the commit if it is known, and stop."""
    if asked:
        known = in_words()
        click.echo(f"auxbench {__version__}{f' ({known})' if known else ''}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_say_version,
    help="Show the version and commit, and exit.",
)
def auxbench() -> None:
    """Find out which auxiliary-learning methods really help, and at what cost."""


for command in (
    study.run,
    study.tune,
    study.plan,
    advise,
    runs.status,
    runs.retry,
    runs.cancel,
    lists.list_,
    lists.show,
    boards.leaderboard,
    boards.compare,
    boards.report,
    boards.plot,
    boards.calibrate,
    deploy,
    parts.new,
    parts.check,
    data,
    results,
    export,
):
    auxbench.add_command(command)


def main() -> None:
    """Run the command line; a mistake is explained in one line, with exit code 2."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup
            signal.signal(number, signal.default_int_handler)  # stop runs as Ctrl-C does
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a pipe's encoding may lack arrows

    try:
        code = _command()
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
        # The reader, such as `head`, has closed the pipe.
        sys.stderr.close()
        code = 0
    except OSError as error:
        named = f"file '{error.filename}' cannot be used" if error.filename else "a file failed"
        code = _complain(f"{named} ({reason(error)}); name another, or make room.")
    except ValueError as error:
        if "null" not in str(error):
            raise
        code = _complain("a name or a path holds a null character; leave it out.")
    code = code if isinstance(code, int) else 0
    if launched():  # gloo's threads may abort a process that takes them down by itself
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _command() -> object:
    """Carry out the command, with all processes if a launcher has started several."""
    if not launched():
        return auxbench(standalone_mode=False)
    from auxbench.execution.together import all_together

    return all_together(lambda: auxbench(standalone_mode=False))


def _complain(message: str, code: int = 2) -> int:
    click.echo(f"auxbench: {visible(' '.join(message.split()))}", err=True)
    return code
