"""Screen what JSON lines on stdin ask for (the child process of the Slicer module)."""

import argparse
import os
import sys

from M3LungScreenLib.worker import serve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None: everything is said on stdin."""


def run(arguments: argparse.Namespace) -> int:
    """Keeps stdout for the lines alone: what a library prints, or its C code, goes to stderr."""
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    return serve(sys.stdin, lines)
