"""Measure weights on clips with known pixels, beside baselines and published figures.

    sttn-evaluate CLIPS --pattern 'davis_*'

CLIPS is a folder of videos: DAVIS or YouTube-VOS as they are unpacked, folders of images, zips,
movies, or NAME/frames/. Holes are cut by a protocol (--protocol); what the weights and the
baselines put into them is measured against the truth. The folder --output gets index.html, a
page to look at, results.json and results.csv, and keeps what was computed: stopped at any time,
the same command goes on.

    sttn-evaluate CLIPS --weights mine.safetensors theirs.pth      two weights, paired by clip
    sttn-evaluate CLIPS --preset fast thorough                     two schedules
    sttn-evaluate DAVIS --protocol removal                         without a truth
    sttn-evaluate host_examples/demo/shot --protocol shot          the rendered shot

Other commands, each with --help of its own:

    sttn-evaluate table 2 CORPUS CLIPS --output DIR    a table of the paper: train, evaluate, print
    sttn-evaluate ranking CLIPS --output DIR           a blind side-by-side page, as for Fig. 7
    sttn-evaluate ranks DIR ANSWERS.csv ...            sum its answers
"""

import logging
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import tyro

from sttn.command_line import INTERRUPTED, run_command, stopped_by_signals
from sttn.device import choose_device, choose_precision, ran_out_of_memory
from sttn.errors import SttnError
from sttn.evaluation.baselines import BASELINES, BaselineName
from sttn.evaluation.cases import ProtocolConfig, find_cases
from sttn.evaluation.console import comparisons, summary_table, video_table
from sttn.evaluation.methods import read_networks
from sttn.evaluation.ranking.answers import ranks_table, sum_answers
from sttn.evaluation.ranking.page import PAGE_FILE, draw, require_methods, write_ranking
from sttn.evaluation.report import PageConfig, write_report
from sttn.evaluation.runs import evaluate
from sttn.evaluation.scoring import ScoringConfig
from sttn.evaluation.tables import TABLES, beside_published, sized, trained
from sttn.inference import DEFAULT_PRESET, PRESETS, Preset
from sttn.model import load_generator
from sttn.settings.computing import Precision
from sttn.settings.weights import DEFAULT_WEIGHTS, FUSION_WEIGHTS
from sttn.training.config import TrainingConfig
from sttn.training.corpus import CorpusLimits, read_corpus
from sttn.training.presets import configured

COMPUTED = "computed"
"""Folder below the output that keeps completed frames and figures."""

Clips = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CLIPS")]
Protocols = Annotated[ProtocolConfig, tyro.conf.arg(name="")]
Scoring = Annotated[ScoringConfig, tyro.conf.arg(name="")]


def clips_command(
    clips: Clips,
    output: Path = Path("evaluation"),
    weights: tuple[Path, ...] = (DEFAULT_WEIGHTS,),
    preset: tuple[Preset, ...] = (DEFAULT_PRESET,),
    baselines: tuple[BaselineName, ...] = tuple(BASELINES),
    device: str = "auto",
    precision: Precision = "float32",
    fusion: Path = FUSION_WEIGHTS,
    processes: int = 1,
    protocol: Protocols = ProtocolConfig(),
    scoring: Scoring = ScoringConfig(),
    page: Annotated[PageConfig, tyro.conf.arg(name="")] = PageConfig(),
) -> None:
    """Measure weights on clips with known pixels.

    Args:
        clips: Folder of videos.
        output: Folder that gets index.html, results.json and results.csv, and keeps what was
            computed.
        weights: One or more .safetensors or published .pth files; the shipped ones if not given.
        preset: One or more schedules of windows.
        baselines: What else to measure.
        device: cpu, cuda or auto; for the networks.
        fusion: Weights of the network that decides which real pixels to believe.
        precision: float32, bfloat16 or auto, as a server would choose; figures of different
            precisions are kept apart, and differ a little.
        processes: Others that compute baselines and figures beside.
        protocol: What is cut out of which videos.
        scoring: Weights of metrics that cannot be shipped.
        page: What the page shows.
    """
    sources = find_cases(clips, protocol)
    chosen = choose_device(device)
    dtype = choose_precision(precision, chosen)
    networks = read_networks(weights, preset, chosen, dtype, fusion)
    settings = {
        "footage": str(clips),
        "weights": [str(path) for path in weights],
        "precision": str(dtype).removeprefix("torch."),
        "presets": {name: asdict(PRESETS[name]) for name in preset},
        "protocol": asdict(protocol),
        "scoring": asdict(scoring),
    }
    results = evaluate(
        sources,
        networks,
        baselines,
        scoring,
        output / COMPUTED,
        settings,
        processes=processes,
    )
    written = write_report(results, sources, networks, output / COMPUTED, output, page)
    print(video_table(results), summary_table(results), sep="\n\n")
    print("", *comparisons(results), "", written, sep="\n")


def ranking_command(
    clips: Clips,
    output: Path,
    weights: tuple[Path, ...] = (DEFAULT_WEIGHTS,),
    preset: tuple[Preset, ...] = (DEFAULT_PRESET,),
    baselines: tuple[BaselineName, ...] = ("propagation",),
    device: str = "auto",
    precision: Precision = "float32",
    count: int = 10,
    seed: int = 0,
    protocol: Protocols = ProtocolConfig(),
) -> None:
    """Make a page on which people rank methods without knowing whose result is whose.

    Give people ranking.html and keep key.json; sum the files that they hand in with
    `sttn-evaluate ranks`.

    Args:
        clips: Folder of videos.
        output: Folder that gets ranking.html and key.json, and keeps what was computed.
        weights: One or more .safetensors or published .pth files.
        preset: One or more schedules of windows.
        baselines: What else is ranked.
        device: cpu, cuda or auto; for the networks.
        precision: float32, bfloat16 or auto, as a server would choose.
        count: Clips that are drawn by lot.
        seed: Of the lot, and of the letters that stand for methods.
        protocol: What is cut out of which videos.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if (output / PAGE_FILE).exists():
        raise ValueError(f"{output / PAGE_FILE} exists; answers to it would be lost, move it first")
    require_methods(len(weights) * len(preset) + len(baselines))
    sources = draw(find_cases(clips, protocol), count, seed)
    chosen = choose_device(device)
    networks = read_networks(weights, preset, chosen, choose_precision(precision, chosen))
    store = output / COMPUTED
    results = evaluate(sources, networks, baselines, ScoringConfig(), store, {})
    write_ranking(results, sources, store, output, seed=seed)
    print(output / PAGE_FILE)


def ranks_command(
    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")],
    answers: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="ANSWERS.csv")
    ],
) -> None:
    """Sum the answers to a ranking page: how often each method came first, second and so on.

    Args:
        folder: Where ranking.html and its key.json lie.
        answers: The files that people handed in.
    """
    if not answers:
        raise ValueError("no answers given")
    print(ranks_table(sum_answers(folder, answers)))


def table_command(defaults: TrainingConfig) -> Callable[..., None]:
    """The command that repeats a table, with the settings that flags have not changed."""

    def run(
        number: Annotated[Literal[1, 2, 3, 6, 7, 8], tyro.conf.Positional],
        corpus: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="CORPUS")],
        clips: Clips,
        output: Path,
        training: Annotated[TrainingConfig, tyro.conf.arg(name="")] = defaults,
        config: Path | None = None,
        start: Path | None = None,
        dataset: Literal["davis", "youtube-vos"] = "davis",
        device: str = "auto",
        limits: CorpusLimits = CorpusLimits(),
        protocol: Protocols = ProtocolConfig(),
        scoring: Annotated[ScoringConfig, tyro.conf.arg(name="metrics")] = ScoringConfig(),
    ) -> None:
        """Repeat a table of the paper: train every row, evaluate, print beside the published rows.

        Args:
            number: 1 (models), 2 (patch sizes), 3 (blocks), 6 (distant frames), 7 (masked
                normalization) or 8 (losses; wants --vgg).
            corpus: Folder to train on.
            clips: Folder of videos to test on.
            output: Folder of the runs; rows that train alike share a run, across tables too.
            training: The run that the rows vary.
            config: TOML file with the run's settings, or the name of a preset.
            start: Weights that every row begins with, and takes its size from, .safetensors or
                .pth; as the paper's runs on DAVIS begin with those on YouTube-VOS.
            dataset: Whose published rows stand beside Table 1; the others are on DAVIS.
            device: cpu, cuda or auto.
            limits: What is kept of the material to train on.
            protocol: What is cut out of which videos.
            scoring: Weights of metrics that cannot be shipped.
        """
        cv2.setNumThreads(0)  # as train() says; before OpenCV starts its threads
        chosen, rows = choose_device(device), TABLES[number]
        sources = find_cases(clips, protocol)
        wanted = training if start is None else sized(rows, training, load_generator(start))
        material = read_corpus(corpus, limits)
        networks = trained(rows, wanted, material, output / "trained", chosen, start)
        baselines = tuple(BASELINES) if number == 1 else ()
        settings: dict[str, Any] = {"footage": str(clips), "table": number}
        settings |= {"training": asdict(wanted)}
        settings |= {"start": str(start) if start else None, "limits": asdict(limits)}
        settings |= {"protocol": asdict(protocol), "scoring": asdict(scoring)}
        store = output / COMPUTED
        results = evaluate(sources, networks, baselines, scoring, store, settings)
        report = output / f"table{number}"
        written = write_report(results, sources, networks, store, report, PageConfig())
        print(beside_published(number, results, dataset), written, sep="\n")

    return run


def _table(arguments: list[str]) -> None:
    defaults = configured(arguments, TrainingConfig())
    run_command(table_command(defaults), "sttn-evaluate table", arguments)


COMMANDS: dict[str, Callable[[list[str]], None]] = {
    "table": _table,
    "ranking": lambda given: run_command(ranking_command, "sttn-evaluate ranking", given),
    "ranks": lambda given: run_command(ranks_command, "sttn-evaluate ranks", given),
}


def main() -> None:
    """Run the command line.

    Exit code 2 where what was given is wrong or too large, 130 after Ctrl-C, SIGTERM or SIGHUP.
    """
    # A farm's SIGTERM would leave the processes beside, and tell nobody that it can go on.
    stopped_by_signals()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    command = COMMANDS.get(sys.argv[1]) if len(sys.argv) > 1 else None
    try:
        if command is not None:
            command(sys.argv[2:])
        else:
            run_command(clips_command, "sttn-evaluate", description=__doc__)
    except Exception as error:
        if not (isinstance(error, SttnError | ValueError | OSError) or ran_out_of_memory(error)):
            raise
        print(f"sttn-evaluate: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("sttn-evaluate: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(INTERRUPTED)
