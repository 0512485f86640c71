"""Options, value parsers and exit codes that several commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import IntEnum
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from flows.cli.console import Format, stderr
from flows.cli.parsing import parse_bound, parse_seconds, parse_time, parse_version_or_time

if TYPE_CHECKING:
    from catalogs.store.store import Store

__all__ = [
    "DEFAULT_STORE",
    "AllowInputOption",
    "AsOfOption",
    "CredentialsOption",
    "DetectorOption",
    "DeviceOption",
    "DryRunOption",
    "DtypeOption",
    "ExcelOption",
    "ExitCode",
    "FormatOption",
    "LocalOption",
    "PreviewOption",
    "StoreOption",
    "SubtitlesBurnOption",
    "SubtitlesOption",
    "WeightsOption",
    "explain_empty",
    "weights_or_miniature",
    "with_filters",
    "with_group",
    "with_request",
]

DEFAULT_STORE = "troupe-store"


class ExitCode(IntEnum):
    """Exit codes of the commands."""

    REFUSED = 2
    """The request is invalid, or what it needs is missing."""
    INCOMPLETE = 3
    """The command ran to its end, but some jobs or videos failed."""
    STOPPED = 130
    """Interrupted by a signal, as a shell reports SIGINT."""


StoreOption = Annotated[str, typer.Option(help="Store: a folder or bucket URL.", envvar="TROUPE_STORE")]
WeightsOption = Annotated[
    str | None,
    typer.Option(
        help="Weights directory or URL; see `troupe weights`.",
        envvar="TROUPE_WEIGHTS",
        show_default="the miniature that comes with troupe",
    ),
]
JobsArgument = Annotated[
    str | None, typer.Argument(help="Jobs file (CSV, JSONL or Parquet), as a path or URL.", show_default=False)
]
PortraitsOption = Annotated[
    str | None,
    typer.Option(
        "--portraits",
        "--portrait",
        help="A portrait, or a folder of them, instead of a jobs file; each is animated with each clip of --drivings.",
    ),
]
DrivingsOption = Annotated[
    str | None, typer.Option("--drivings", "--driving", help="A driving clip, or a folder of them.")
]
AudioOption = Annotated[
    str | None,
    typer.Option(
        help="Sound of jobs that set none: driving, none, or a file. With {language} in its name, one video is made "
        "per language for which there is a file, such as 'dubs/welcome.{language}.wav'.",
        show_default="driving",
    ),
]
LanguagesOption = Annotated[
    str | None,
    typer.Option(help="Languages for {language}, such as 'en;fr;pt-BR'.", show_default="those that are there"),
]
FitOption = Annotated[
    str | None,
    typer.Option(
        help="For sounds that are longer or shorter than the clip: strict, cut, hold, bounce, stretch or "
        "stretch+bounce; see docs/dubbing.md.",
        show_default="strict",
    ),
]
LoudnessOption = Annotated[
    str | None,
    typer.Option(metavar="LUFS", help="Normalise the loudness of every sound, such as -23 or -16.", show_default="off"),
]
SubtitlesOption = Annotated[
    str | None,
    typer.Option(
        metavar="URI",
        help="Subtitles of jobs that set none, SRT or WebVTT; may have {language} in its name, as --audio.",
        show_default="none",
    ),
]
SubtitlesBurnOption = Annotated[
    bool,
    typer.Option("--subtitles-burn", help="Draw the subtitles into the picture, for jobs that do not say otherwise."),
]
LabelOption = Annotated[
    str | None,
    typer.Option(
        help="Text in the upper right corner of every frame: none, ai-generated or ai-modified in the video's "
        "language, or any other text.",
        show_default="none",
    ),
]
LipsOption = Annotated[
    str | None,
    typer.Option(
        metavar="driving|sound",
        help="What the mouth follows: the driving clip, or the sound of each language. See docs/dubbing.md.",
        show_default="driving",
    ),
]
WatermarkOption = Annotated[
    str | None,
    typer.Option(
        metavar="on|off|required",
        help="Invisible watermark, by which `troupe verify` recognises copies; required renders videos of versions "
        "without watermarks again. See docs/provenance.md.",
        show_default="on",
    ),
]
PresetOption = Annotated[
    str | None,
    typer.Option(
        help="Preset for jobs that set none: exact (as released), draft (fewer steps), fast (4 steps, by a distilled "
        "denoiser) or sketch (few steps, unguided).",
        show_default="exact",
    ),
]
SeedOption = Annotated[int | None, typer.Option(help="Seed for jobs that set none.", show_default="0")]
OutputOption = Annotated[
    str | None,
    typer.Option(help="Output for jobs that set none: full (pasted back), crop or both.", show_default="full"),
]
IdentityFromOption = Annotated[
    str | None,
    typer.Option(
        metavar="stem|folder",
        help="Identity of jobs that set none: the portrait's file name without its suffix, or its folder's name.",
    ),
]
ExcelOption = Annotated[
    bool, typer.Option("--excel", help="Begin CSV with a byte order mark, by which Excel recognises UTF-8.")
]
JobLimitOption = Annotated[int | None, typer.Option(min=1, help="Use only the first N jobs.")]
DetectorOption = Annotated[
    str | None,
    typer.Option(help="Face detector (SCRFD .onnx or YOLOv5-face .pt) to use instead of the one in the weights."),
]
PreviewOption = Annotated[
    float | None,
    typer.Option(parser=parse_seconds, metavar="SECONDS", help="Animate only the start of every clip, such as 2s."),
]
AllowInputOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URI",
        help="Also read inputs of the jobs from this folder, bucket or host. Needed for hosts at private addresses, "
        "such as http://10.0.0.5:8000/clips, and where policy.toml in the store limits inputs; may be repeated.",
    ),
]
CredentialsOption = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Sign every video and poster: folder with certificate.pem and key.pem; see docs/provenance.md.",
        envvar="TROUPE_CREDENTIALS",
        show_default="TROUPE_SIGNING_... of each worker's environment",
    ),
]
LocalOption = Annotated[bool, typer.Option("--local", help="Run in-process, without Prefect or Ray.")]
DeviceOption = Annotated[str, typer.Option(help="Device: auto, cpu, cuda or cuda:N.")]
DtypeOption = Annotated[str, typer.Option(help="Number type: auto, float32, bfloat16 or float16.")]
FormatOption = Annotated[Format, typer.Option(help="Output format.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only show what would be deleted.")]
AsOfOption = Annotated[
    Any,
    typer.Option(
        parser=parse_version_or_time,
        metavar="TIME|VERSION",
        help="Query the catalog as of this time or table version.",
        show_default=False,
    ),
]


def weights_or_miniature(weights: str | None) -> str:
    """Return `weights`, or if None the miniature's directory, after printing a notice."""
    if weights is not None:
        return weights
    from tasks.weights.shipped import MINIATURE_NOTICE, SHIPPED_WEIGHTS

    stderr.print(f"No --weights given: {MINIATURE_NOTICE}")
    return str(SHIPPED_WEIGHTS)


def _job_defaults(**values: str | int | None) -> dict[str, str]:
    """Return the values that were given, by jobs file column, as defaults for jobs that leave the column empty."""
    return {name: str(value) for name, value in values.items() if value is not None}


def _latest_run_id(store: str) -> str | None:
    """Return the id of the store's latest run; None if it has no runs."""
    from catalogs.query.jobs import latest_run
    from catalogs.store.store import open_store

    return latest_run(open_store(store))


def _filters(
    status: Annotated[
        str | None,
        typer.Option(help="Only jobs with this status: done, reused, failed, cancelled or forgotten."),
    ] = None,
    identity: Annotated[str | None, typer.Option(help="Only jobs of this identity.")] = None,
    driving: Annotated[
        str | None, typer.Option(help="Only jobs with this driving clip, given as its URI or its file name.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="NAME[=VALUE]", help="Only jobs with this tag; may be repeated.")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Only jobs in this language.")] = None,
    run: Annotated[str | None, typer.Option(help="Only jobs of this run: a run_id or `latest`.")] = None,
    error_kind: Annotated[
        str | None, typer.Option(help="Only jobs that failed with this kind of error, such as no_face.")
    ] = None,
    picture: Annotated[
        str | None, typer.Option(metavar="KEY", help="Only the films of this picture, in all languages.")
    ] = None,
    review: Annotated[
        str | None,
        typer.Option(
            metavar="STATE", help="Only jobs whose film is pending, approved or rejected in review; see docs/review.md."
        ),
    ] = None,
    since: Annotated[
        Any,
        typer.Option(
            parser=parse_time,
            metavar="TIME",
            help="Only jobs finished at or after this time (UTC): 2026-11-24, today or 1.5h.",
        ),
    ] = None,
    until: Annotated[
        Any, typer.Option(parser=parse_time, metavar="TIME", help="Only jobs finished before this time.")
    ] = None,
    least: Annotated[
        list[Any] | None,
        typer.Option(
            "--min",
            parser=parse_bound,
            metavar="NAME=NUMBER",
            help="Only jobs with at least this value: identity=0.5 or seconds=10; may be repeated.",
        ),
    ] = None,
    most: Annotated[
        list[Any] | None,
        typer.Option(
            "--max",
            parser=parse_bound,
            metavar="NAME=NUMBER",
            help="Only jobs with at most this value: flicker=3; may be repeated.",
        ),
    ] = None,
) -> dict[str, Any]:
    """Return the arguments of `catalogs.query.filters.CatalogQuery`."""
    return {
        "status": status,
        "identity": identity,
        "driving": driving,
        "tags": tuple(tag or ()),
        "language": language,
        "run": run,
        "error_kind": error_kind,
        "picture": picture,
        "review": review,
        "since": since,
        "until": until,
        "least": dict(least or ()),
        "most": dict(most or ()),
    }


def explain_empty(store: Store, filters: dict[str, Any], as_of: Any = None) -> None:
    """Print which values of the filters no job has, and similar ones."""
    from catalogs.query.suggestions import unknown_values

    for line in unknown_values(store, filters, as_of):
        stderr.print(line)


def with_filters(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the command's parameter `filters`, a dictionary, by one option per filter."""

    def resolved(filters: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
        if filters["run"] == "latest":
            # An empty catalog has no latest run; no run is named `latest`, so that the filter then matches nothing.
            filters["run"] = _latest_run_id(values["store"]) or "latest"
        return filters

    return with_group(command, "filters", _filters, resolved)


def _parameters(
    jobs: JobsArgument = None,
    portraits: PortraitsOption = None,
    drivings: DrivingsOption = None,
    store: StoreOption = DEFAULT_STORE,
    weights: WeightsOption = None,
    detector: DetectorOption = None,
    preset: PresetOption = None,
    seed: SeedOption = None,
    output: OutputOption = None,
    audio: AudioOption = None,
    languages: LanguagesOption = None,
    fit: FitOption = None,
    loudness: LoudnessOption = None,
    subtitles: SubtitlesOption = None,
    subtitles_burn: SubtitlesBurnOption = False,
    label: LabelOption = None,
    watermark: WatermarkOption = None,
    lips: LipsOption = None,
    identity_from: IdentityFromOption = None,
    limit: JobLimitOption = None,
    preview: PreviewOption = None,
    credentials: CredentialsOption = None,
) -> dict[str, Any]:
    """Return parameters of `tasks.run.request.Request`."""
    cells = {"preset": preset, "seed": seed, "output": output, "audio": audio, "languages": languages, "fit": fit}
    cells |= {"loudness": loudness, "subtitles": subtitles, "subtitles_burn": subtitles_burn or None, "label": label}
    cells |= {"watermark": watermark, "lips": lips}
    return {
        "jobs": jobs,
        "portraits": portraits,
        "drivings": drivings,
        "store": store,
        "weights": weights_or_miniature(weights),
        "detector": detector,
        "defaults": _job_defaults(**cells),
        "identity_from": identity_from,
        "limit": limit,
        "preview": preview,
        "credentials": credentials,
    }


def with_request(command: Callable[..., None]) -> Callable[..., None]:
    """Replace the command's parameter `parameters`, those of a request, by the options that name the jobs."""
    return with_group(command, "parameters", _parameters, lambda parameters, _: parameters, first=True)


def with_group(
    command: Callable[..., None],
    name: str,
    group: Callable[..., dict[str, Any]],
    resolved: Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]],
    *,
    first: bool = False,
) -> Callable[..., None]:
    """Replace the command's parameter `name` by the options of a group.

    Args:
        group: function that has these options and returns the parameter's value.
        resolved: changes that value by the command's other values.
        first: whether the group's options precede the command's own in its help.
    """
    added = inspect.signature(group).parameters

    @wraps(command)
    def expanded(**values: Any) -> None:
        value = group(**{option: values.pop(option) for option in added})
        command(**values, **{name: resolved(value, values)})

    own = [p for p in inspect.signature(command).parameters.values() if p.name != name]
    types = {**get_type_hints(group, include_extras=True), **get_type_hints(command, include_extras=True)}
    ordered = (*added.values(), *own) if first else (*own, *added.values())
    parameters = [p.replace(annotation=types[p.name]) for p in ordered]
    # Python wants parameters without a default first.
    parameters.sort(key=lambda p: p.default is not inspect.Parameter.empty)
    expanded.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    expanded.__annotations__ = {p.name: p.annotation for p in parameters}
    return expanded
