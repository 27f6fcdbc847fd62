"""`python -m M3LungScreenLib screen | series | batch | simulate | info | worker`."""

import argparse
import signal
import sys
import threading

from M3LungScreenLib.commands import batch, info, screen, series, simulate, worker
from M3LungScreenLib.errors import (
    MEMORY_RAN_OUT,
    Cancelled,
    M3LungScreenError,
    memory_ran_out,
)
from M3LungScreenLib.events import Failed, to_json

COMMANDS = {
    "screen": screen,
    "series": series,
    "batch": batch,
    "simulate": simulate,
    "info": info,
    "worker": worker,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status as in errors.py."""
    parser = argparse.ArgumentParser(
        prog="python -m M3LungScreenLib",
        description="Screens chest CT for pneumonia. Research use only.",
    )
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        summary = (command.__doc__ or "").partition("\n")[0]
        subparser = subparsers.add_parser(name, help=summary, description=summary)
        command.add_arguments(subparser)
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        # An exception in a destructor is lost, so a run also checks the event between batches.
        interrupted.set()
        raise KeyboardInterrupt

    parsed = parser.parse_args(arguments, argparse.Namespace(cancelled=interrupted.is_set))
    # SIGTERM ends like Ctrl-C, so no half-written files remain.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)
    try:
        return COMMANDS[parsed.command].run(parsed)
    except M3LungScreenError as wrong:
        refusal: M3LungScreenError = wrong
    except KeyboardInterrupt:
        refusal = Cancelled()
    except Exception as wrong:
        if not memory_ran_out(wrong):
            raise
        refusal = M3LungScreenError("memory", MEMORY_RAN_OUT)
    return _tell(refusal, jsonl=getattr(parsed, "progress", "") == "jsonl")


def _tell(refusal: M3LungScreenError, jsonl: bool) -> int:
    if jsonl:
        print(to_json(Failed(refusal.kind, refusal.message)), flush=True)
    print(refusal.message, file=sys.stderr)
    return refusal.exit_status


if __name__ == "__main__":
    sys.exit(main())
