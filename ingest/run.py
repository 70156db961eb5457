"""A whole run of `sorce ingest`: look up, load, ingest, prune, switch the alias."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import click
from opensearchpy import OpenSearch

from sorce.cluster import address, translate_errors
from sorce.errors import SorceError
from sorce.ingest.alias import Alias, as_target, switch, template_is_outdated
from sorce.ingest.index import NewIndex, TargetIndex
from sorce.ingest.optimize import optimize
from sorce.ingest.pipeline import Run, bring_in, rehearse
from sorce.ingest.progress import Progress, interruptible
from sorce.ingest.prune import Gone, count_gone, prune_target, refuse_many
from sorce.ingest.ray_run import ByRay
from sorce.ingest.report import Report, Watch, Watches
from sorce.ingest.request import Request
from sorce.ingest.retry import Interrupted, Retry
from sorce.ingest.root import agree_on_root
from sorce.ingest.run_log import RunFacts, RunLog, logged, state_of
from sorce.ingest.sources import Sources
from sorce.mappings import Recipe
from sorce.mappings.compression import FLOAT32
from sorce.models import Model


@dataclass(frozen=True)
class Plan:
    """What a run works on: the index that it writes to, and the alias as it was found, if one moves.

    `by_ray` is how Ray does the work, if it does.
    """

    request: Request
    sources: Sources
    target: TargetIndex
    alias: Alias | None
    by_ray: ByRay | None = None

    @property
    def before(self) -> TargetIndex | None:
        """The index that the alias moves away from."""
        behind = [] if self.alias is None else [each for each in self.alias.behind if each.name != self.target.name]
        return as_target(self.target.client, behind[0]) if behind else None


def run(request: Request) -> tuple[str, Report]:
    """The index that the photos went to, and the report. Raises SorceError."""
    _ = request.name, request.team
    new, sources = request.new_index(), request.sources()
    if request.prune and not sources.files.folders():
        raise click.UsageError(
            "--prune looks for photos that are gone from folders of this machine; name one. "
            "For S3 there is --from-events."
        )
    photos, others = sources.count()
    if not photos and not request.comes_from_a_list:
        named = ", ".join((*request.paths, *request.lists))
        raise SorceError(f"there are no photos in {named}; name a file or folder that has some.")
    client = request.cluster.connect()
    with translate_errors(address(client)):
        plan, model = prepared(client, request, sources)
        plan.target.new = replace(new, root=plan.target.new.root)
    expected = photos if request.limit is None else min(photos, request.limit)
    with Progress(expected, request.rejects, request.quiet) as progress, interruptible(progress):
        for note in (request.table.note, note_on_settings(plan, new)):
            if note is not None:
                progress.noted(note)
        log = run_log(plan, model.recipe, expected, progress)
        with logged(log), translate_errors(address(client)):
            report = work(plan, model, progress if log is None else Watches(progress, log))
        if log is not None:
            log.close(state_of(report), replace(report, others=others))
        if request.optimize and not report.stopped and not request.dry_run:
            report = merged(plan, report, progress)
        if request.alias and not report.stopped and not request.dry_run:
            try:
                progress.say(moved(plan, progress))
            except Interrupted:
                report = replace(report, stopped=True)
    return plan.target.name, replace(report, others=others)


def prepared(client: OpenSearch, request: Request, sources: Sources) -> tuple[Plan, Model[object]]:
    """Looks up the index once, and loads the model. Raises SorceError."""
    alias = None if request.alias is None else Alias.look_up(client, request.alias)
    target = TargetIndex(client, request.name)
    agree = agreement(request, sources)
    if alias is None:
        there = target.look_up()
        recipe = None if there is None else there.recipe
        agree(target)
        model, by_ray = opened(request, recipe)
    else:
        for found in alias.behind:
            agree(as_target(client, found))
        model, by_ray = opened(request, alias.recipe)
        target = TargetIndex(client, alias.target(model.recipe))
        behind = next((found for found in alias.behind if found.name == target.name), None)
        if behind is None:
            target.look_up()
        else:
            # With several indices, the run must notice if the alias gets another write index.
            target = TargetIndex(client, alias.name) if behind.others else target
            target.found = behind if behind.others else behind.by_its_own_name()
        agree(target)
        if request.limit is None and not request.dry_run:
            alias.refuse_without_right(target.name)
    return Plan(request, sources, target, alias, by_ray), model


def note_on_settings(plan: Plan, new: NewIndex) -> str | None:
    """A sentence about settings that have no effect, since the index exists."""
    there = plan.target.found
    if there is None or not (new.settings or new.compression not in (FLOAT32, there.compression)):
        return None
    return f"index '{plan.target.name}' exists and keeps its settings: those given here are for a new index."


def opened(request: Request, there: Recipe | None) -> tuple[Model[Any], ByRay | None]:
    """The model in this process, and how Ray's workers open theirs. Raises ModelError."""
    team = request.team
    if team is None:
        return request.load_model(there), None
    loading = request.loading(there)
    # This process only needs to know the recipe; the GPUs are the workers'.
    model = replace(loading, device="cpu")()
    cluster = replace(request.cluster, url=request.cluster.url or os.environ.get("OPENSEARCH_URL"))
    return model, ByRay(team, cluster, loading.elsewhere(model.recipe))


def agreement(request: Request, sources: Sources) -> Callable[[TargetIndex], None]:
    """Checks the root of relative paths against the index's, and stores it. Photos in stores have none."""
    root = sources.files.naming.root
    if root is None and not sources.are_local:
        return lambda _: None
    return partial(agree_on_root, root=root, moved=request.root_moved)


def run_log(plan: Plan, recipe: Recipe, expected: int, progress: Progress) -> RunLog | None:
    """The log of the run in the cluster, unless the command line leaves it out."""
    if plan.request.no_run_log or plan.request.dry_run:
        return None
    facts = RunFacts(plan.request.name, plan.target.name, recipe, expected)
    return RunLog(plan.target.client, facts, progress.noted)


def work(plan: Plan, model: Model[object], progress: Watch) -> Report:
    request, target = plan.request, plan.target
    sources = islice(plan.sources, request.limit)
    options = replace(request.options, types=plan.sources.types())
    if request.dry_run:
        report = rehearse(target, model.recipe, sources, options, progress)
    elif plan.by_ray is not None:
        run = Run(target, model.recipe, options, progress)
        run.prepare(model, plan.before)
        report = plan.by_ray(run, sources, plan.before)
    else:
        report = bring_in(target, model, sources, options, progress, plan.before)
    if not request.prune or report.stopped:
        return report
    if plan.sources.others:
        progress.noted("--prune looks at folders of this machine only; photos of stores and lists stay.")
    retry = Retry(request.retry_timeout, progress)
    if request.dry_run:
        pruned = count_gone(target, plan.sources.files, retry)
    else:
        pruned = prune_target(target, plan.sources.files, retry, confirmation(request))
    return replace(report, pruned=pruned, stopped=progress.stop.is_set())


def merged(plan: Plan, report: Report, progress: Progress) -> Report:
    """Merges what the run wrote to. Before an alias moves, so that no search meets the index as it was."""
    if plan.target.found is None:
        return report
    progress.say("merging the index; searches go on meanwhile.")
    with translate_errors(address(plan.target.client)):
        merge = optimize(plan.target.client, plan.target.names, progress.stop)
    if not merge.is_done:
        progress.say("the cluster goes on merging by itself.")
    return replace(report, merging=merge.seconds, stopped=not merge.is_done)


def confirmation(request: Request) -> Callable[[Gone], bool]:
    """Who decides if many photos are gone: the option, else the user at the terminal, else nobody."""
    if request.prune_anyway:
        return lambda _: True
    return ask if sys.stdin.isatty() and sys.stderr.isatty() else refuse_many


def ask(gone: Gone) -> bool:
    return click.confirm(
        f"The files of {len(gone.files):,} of {gone.photos:,} photos are gone, such as "
        f"{next(iter(gone.files.values()))}. Remove them from the index?",
        err=True,
    )


def moved(plan: Plan, progress: Progress) -> str:
    """Switches the alias if all photos are in. Returns a message. Raises Interrupted if asked to stop."""
    request, index, alias = plan.request, plan.target.name, plan.alias
    assert alias is not None
    if request.limit is not None:
        return f"'{alias.name}' was not switched to '{index}', which --limit keeps incomplete."
    if plan.target.found is None:
        return f"'{alias.name}' was not made, because no photo could be ingested."
    retry = Retry(request.retry_timeout, progress)
    old = switch(alias.client, alias.name, index, plan.sources.files if request.prune else None, retry)
    if old is None:
        return f"'{alias.name}' names '{index}'."
    done = f"'{alias.name}' names '{index}'; '{old}' stays until you delete it."
    with translate_errors(address(alias.client)):
        outdated = retry.ask(partial(template_is_outdated, alias.client, alias, index))
    again = f"run `sorce plugin install --index {alias.name}` again."
    return f"{done} Searches that the cluster encodes still use the previous recipe: {again}" if outdated else done


def told(request: Request, index: str, report: Report) -> str:
    if request.as_json:
        facts = {"index": index, "dry_run": request.dry_run, "photos_per_second": report.photos_per_second}
        return json.dumps({**facts, **asdict(report)})
    return f"would be: {report}" if request.dry_run else str(report)
