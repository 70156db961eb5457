"""`sorce ingest --watch` and `--from-events`: an ingest that goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import click

from sorce.cluster import address, translate_errors
from sorce.errors import SorceError
from sorce.ingest.changes import Changes, raw_lines, s3_events, watched
from sorce.ingest.follow import ContinuousRun, Followed
from sorce.ingest.pipeline import bring_in
from sorce.ingest.progress import Progress, interruptible
from sorce.ingest.prune import EmptyFolder, Gone, holds_photos, prune_target
from sorce.ingest.report import Report
from sorce.ingest.request import Request
from sorce.ingest.retry import Retry
from sorce.ingest.run import Plan, note_on_settings, prepared
from sorce.ingest.sources import Sources
from sorce.models import Model
from sorce.pictures.files import Files

STDIN = 0


def refuse_others(request: Request) -> None:
    """Raises click.UsageError for options that a continuous run does not take."""
    option = "--watch" if request.watch else "--from-events"
    _ = request.team
    given = {
        "--alias": request.alias is not None,
        "--dry-run": request.dry_run,
        "--limit": request.limit is not None,
        "--list": bool(request.lists),
        "--optimize": request.optimize,
        "--prune": request.prune,
        "--from-events": request.watch and request.from_events is not None,
    }
    wrong = [name for name, is_given in given.items() if is_given]
    if wrong:
        raise click.UsageError(f"{wrong[0]} cannot be used with {option}; leave out one of them.")
    if request.watch and (request.comes_from_a_list or not request.sources().files.folders()):
        raise click.UsageError("--watch watches folders of this machine; name one.")
    if request.watch and request.sources().others:
        raise click.UsageError("--watch watches folders of this machine; for a store there is --from-events.")
    if not request.watch and request.paths:
        raise click.UsageError("--from-events ingests the photos that the events name; name no others.")


def run_on(request: Request) -> tuple[str, Report]:
    """The index that the photos went to, and the report. Raises SorceError."""
    refuse_others(request)
    sources = request.sources()
    client = request.cluster.connect()
    with translate_errors(address(client)):
        plan, model = prepared(client, request, sources)
        new = request.new_index()
        plan.target.new = replace(new, root=plan.target.new.root)
    with Progress(0, request.rejects, request.quiet, bar=False) as progress, interruptible(progress):
        for note in (request.table.note, note_on_settings(plan, new)):
            if note is not None:
                progress.noted(note)
        changes, rescan, prune = Changes(), None, None
        if request.watch:
            prune = pruning(plan, progress)
            rescan = rescanning(plan, model, progress, prune)
            watch_folders(sources, changes, progress)
        else:
            read_events(str(request.from_events), changes)
        following = ContinuousRun(
            plan.target,
            model,
            sources.files.naming,
            request.options,
            progress,
            telling(request, plan.target.name, progress),
            rescan,
            prune,
        )
        with translate_errors(address(client)):
            return plan.target.name, following.run(changes)


def watch_folders(sources: Sources, changes: Changes, progress: Progress) -> None:
    """Returns when no later change can be missed."""
    work = watched(sources.files.folders(), sources.files, progress.stop, there := changes.established)
    changes.filled_by(work)
    while not there.wait(0.2) and not progress.stop.is_set() and not changes.has_ended:
        pass


def read_events(file: str, changes: Changes) -> None:
    """Raises SorceError if the file cannot be opened."""
    with readable(file):
        stream = open(STDIN if file == "-" else file, "rb", buffering=0, closefd=file != "-")  # noqa: SIM115

    def work(changes: Changes) -> None:
        with readable(file), stream:
            s3_events(raw_lines(stream), changes)

    changes.filled_by(work)


@contextmanager
def readable(file: str) -> Iterator[None]:
    """Turns an error of the system into a SorceError."""
    try:
        yield
    except OSError as error:
        raise SorceError(f"the events in '{file}' cannot be read ({error.strerror}); name another file.") from error


def pruning(plan: Plan, progress: Progress) -> Callable[[], int]:
    """Removes what is gone from the folders, and returns how many photos."""
    request, files = plan.request, plan.sources.files

    def confirm(gone: Gone) -> bool:
        if not request.prune_anyway:
            progress.noted(
                f"the files of {len(gone.files):,} of {gone.photos:,} photos are gone; they stay in the index. Check "
                "that all disks are mounted, and if they are, add --prune-anyway."
            )
        return request.prune_anyway

    def prune() -> int:
        # An empty folder is like a disk that is not mounted: nothing is removed there.
        full = [str(folder) for folder in files.folders() if holds_photos(folder, files)]
        if progress.stop.is_set() or not full:
            return 0
        retry = Retry(request.retry_timeout, progress)
        try:
            return prune_target(plan.target, Files(full, files.naming), retry, confirm)
        except EmptyFolder as error:
            # Its last photo has gone meanwhile.
            progress.noted(str(error))
            return 0

    return prune


def rescanning(plan: Plan, model: Model[Any], progress: Progress, prune: Callable[[], int]) -> Callable[[], Report]:
    """Brings in what is new or changed in the folders, and removes what is gone from them."""

    def rescan() -> Report:
        report = bring_in(plan.target, model, plan.sources.files, plan.request.options, progress)
        return replace(report, pruned=prune())

    return rescan


def telling(request: Request, index: str, progress: Progress) -> Callable[[Followed], None]:
    """Prints each state on standard error, and with --json on standard output, too."""

    def tell(state: Followed) -> None:
        progress.say(str(state))
        if request.as_json:
            facts = {"index": index, "lines": state.lines, "waiting": state.waiting, "behind": round(state.behind, 1)}
            click.echo(json.dumps({**facts, **asdict(state.report)}))
            sys.stdout.flush()

    return tell
