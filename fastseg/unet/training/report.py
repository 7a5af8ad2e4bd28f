"""The page of a run, ``training.html``: one file without scripts or links, readable while the run goes on."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from fastseg.unet.normalization import get_recipe
from fastseg.unet.training.chart import Line, chart, legend
from fastseg.unet.training.config import dump
from fastseg.unet.training.prepare import Plan
from fastseg.unet.training.samples import IGNORED, MISSED, RIGHT, WRONG, Picture
from fastseg.version import __version__

_STYLE = """
:root { --text: #1d2530; --soft: #5c6875; --rule: #d9dee4; --back: #ffffff; --panel: #f5f7f9;
  --c1: #1f6fb2; --c2: #d9691e; --c3: #3a8f5a; --c4: #8a5bb0; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e3e8ee; --soft: #9aa6b2; --rule: #3a434d; --back: #161b21; --panel: #1f262e;
    --c1: #6db3f2; --c2: #f29a5b; --c3: #74c795; --c4: #c29be6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 24px 60px; max-width: 1200px; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", "Helvetica Neue", "DejaVu Sans", sans-serif; }
h1 { font-size: 24px; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 18px; margin: 36px 0 10px; }
h3 { font-size: 15px; margin: 12px 0 6px; font-weight: 600; }
p { margin: 4px 0; } .soft { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 20px 0 0; }
.tile { background: var(--panel); border-radius: 6px; padding: 10px 14px; }
.tile b { display: block; font-size: 21px; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 24px; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--soft); font-size: 12px; } svg .y { text-anchor: end; } svg .x, svg .axis { text-anchor: middle; }
svg .marked { font-size: 11px; }
svg .grid { stroke: var(--rule); } svg .foot { stroke: var(--soft); }
svg .mark { stroke: var(--soft); stroke-dasharray: 3 3; }
svg .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.c1 { --c: var(--c1); } .c2 { --c: var(--c2); } .c3 { --c: var(--c3); } .c4 { --c: var(--c4); }
svg .line { stroke: var(--c); } svg circle { fill: var(--c); }
.keys { margin: 0 0 4px; } .key { margin-right: 18px; font-size: 13px; color: var(--soft); white-space: nowrap; }
.key i { display: inline-block; width: 14px; height: 4px; border-radius: 2px; background: var(--c); margin-right: 6px;
  vertical-align: 3px; }
.key i.box { height: 12px; vertical-align: -1px; border: 1px solid var(--rule); }
figure { margin: 0 0 20px; } figure img { width: 100%; max-width: 1060px; height: auto; display: block;
  image-rendering: pixelated; border-radius: 3px; }
figcaption { font-size: 13px; color: var(--soft); margin-top: 4px; }
.heads { display: grid; grid-template-columns: repeat(4, 1fr); max-width: 1060px; font-size: 13px; color: var(--soft);
  margin-bottom: 3px; }
table { border-collapse: collapse; font-size: 14px; } td, th { text-align: left; padding: 3px 18px 3px 0;
  vertical-align: top; border-bottom: 1px solid var(--rule); } th { font-weight: 600; white-space: nowrap; }
td { overflow-wrap: anywhere; }
details { margin-top: 14px; } summary { cursor: pointer; } pre { background: var(--panel); padding: 12px 16px;
  border-radius: 6px; overflow-x: auto; font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", monospace; }
"""

_MANY = 40
"""Names that are listed before the rest is counted."""


def report_page(
    name: str,
    plan: Plan,
    history: Sequence[Mapping[str, float]],
    pictures: Mapping[str, Sequence[Picture]],
    done: bool,
) -> str:
    """The page.

    Parameters
    ----------
    name : str
        Of the run.
    plan : Plan
    history : sequence of mapping
        A row an epoch.
    pictures : mapping of "best" and "last" to pictures
    done : bool
        Whether the run is over.
    """
    best = _best(plan, history)
    body = [
        f'<p class="soft">Training run</p><h1>{escape(name)}</h1>',
        f'<p class="soft">{escape(_subtitle(plan))}</p>',
        _tiles(plan, history, best, done),
        "<h2>Course</h2>",
        _charts(plan, history, best),
        *_samples(pictures),
        "<h2>Images</h2>",
        _images(plan),
        "<h2>Settings</h2>",
        _settings(plan),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(name)}: training</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def _metric_key(plan: Plan) -> str:
    metric = plan.settings.validation.metric
    return "validation_loss" if metric == "loss" else metric


def _best(plan: Plan, history: Sequence[Mapping[str, float]]) -> Mapping[str, float] | None:
    key = _metric_key(plan)
    rows = [row for row in history if key in row]
    if not rows:
        return None
    return min(rows, key=lambda r: r[key]) if key == "validation_loss" else max(rows, key=lambda r: r[key])


def _subtitle(plan: Plan) -> str:
    network = ", ".join(f"{k} {_plain(v)}" for k, v in plan.architecture.params.model_dump().items())
    return f"{plan.architecture.name} ({network}), fastseg {__version__}"


def _tiles(
    plan: Plan, history: Sequence[Mapping[str, float]], best: Mapping[str, float] | None, done: bool
) -> str:
    last = history[-1]
    count, epochs = len(history), plan.settings.epochs
    state = "finished" if done else "running, or stopped on the way"
    tiles = [
        (f"{count} / {epochs}", f"epochs, {state}"),
        (f"{last['train_loss']:.4g}", "training loss, last epoch"),
    ]
    if best is not None:
        epoch = f"epoch {best['epoch']:.0f}"
        tiles += [
            (f"{best['dice']:.4f}", f"Dice, {epoch} (best)"),
            (f"{best['iou']:.4f}", f"IoU, {epoch} (best)"),
        ]
    tiles += [
        (_duration(sum(row["seconds"] for row in history)), "training and validation"),
        (f"{last['steps']:.0f}", f"steps of {_count(plan.batch, 'patch', 'patches')}"),
    ]
    found = [
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(text)}</span></div>' for value, text in tiles
    ]
    return f'<div class="tiles">{"".join(found)}</div>'


def _charts(plan: Plan, history: Sequence[Mapping[str, float]], best: Mapping[str, float] | None) -> str:
    def line(name: str, key: str, colour: str) -> Line:
        return Line(name, [(row["epoch"], row[key]) for row in history if key in row], colour)

    mark = best["epoch"] if best else None
    losses = [
        line("training", "train_loss", "c1"),
        line("validation, cross-entropy", "validation_loss", "c2"),
    ]
    agreement = [line("Dice", "dice", "c3"), line("IoU", "iou", "c4")]
    figures: list[tuple[str, list[Line], tuple[float, float] | None]] = [
        ("Loss", losses, None),
        ("Agreement with held-back images", agreement, (0.0, 1.0)),
        ("Learning rate", [line("learning rate", "learning_rate", "c1")], None),
        ("Seconds an epoch", [line("seconds", "seconds", "c2")], None),
    ]
    found = []
    for title, lines, bounds in figures:
        drawn = chart(
            lines,
            title=title,
            x_label="epoch",
            mark=mark if bounds or title == "Loss" else None,
            mark_label="best",
            bounds=bounds,
        )
        if drawn:
            keys = legend(lines) if sum(bool(one.points) for one in lines) > 1 else ""
            found.append(f"<div><h3>{title}</h3>{keys}{drawn}</div>")
    return f'<div class="charts">{"".join(found)}</div>'


def _samples(pictures: Mapping[str, Sequence[Picture]]) -> Iterable[str]:
    shown = {when: pictures[when] for when in ("best", "last") if pictures.get(when)}
    if not shown:
        return
    yield "<h2>Held-back images</h2>"
    keys = (("found", RIGHT), ("missed", MISSED), ("wrong", WRONG), ("not counted", IGNORED))
    boxes = [
        f'<span class="key"><i class="box" style="background: rgb{colour}"></i>{name}</span>'
        for name, colour in keys
    ]
    yield f'<p class="keys"><span class="key">difference:</span>{"".join(boxes)}</p>'
    same = len(shown) == 2 and shown["best"][0].epoch == shown["last"][0].epoch
    titles = {
        "best": "Best epoch" + (", also the last validated" if same else ""),
        "last": "Last validated epoch",
    }
    for when, found in shown.items():
        if when == "last" and same:
            continue
        yield f"<h3>{titles[when]} ({found[0].epoch})</h3>"
        heads = "".join(f"<span>{text}</span>" for text in ("raw", "truth", "probability", "difference"))
        for number, one in enumerate(found):
            encoded = b64encode(one.png).decode()
            caption = f"{one.name}, plane {one.plane}; Dice of the whole image {one.dice:.4f}"
            first = f'<div class="heads">{heads}</div>' if number == 0 else ""
            yield (
                f'<figure>{first}<img alt="{escape(one.name)}" src="data:image/png;base64,{encoded}">'
                f"<figcaption>{escape(caption)}</figcaption></figure>"
            )


def _images(plan: Plan) -> str:
    rows = [
        (f"trained with ({len(plan.split.training)})", _listed([i.name for i in plan.split.training])),
        (f"held back ({len(plan.split.validation)})", _listed([i.name for i in plan.split.validation])),
        ("folder", plan.settings.data.folder),
    ]
    return _table(rows)


def _settings(plan: Plan) -> str:
    s = plan.settings
    rows = [
        ("patch", f"{_triple(plan.size_in)} in, {_triple(plan.size_out)} out; {plan.batch} a step"),
        ("loss", f"{s.loss.name}, outputs weighted {_plain(s.loss.weights)}"),
        (
            "optimizer",
            f"{s.optimizer.name}, {s.optimizer.learning_rate:g}, decay {s.optimizer.weight_decay:g}",
        ),
        ("schedule", f"{s.schedule.name}, warm-up of {_count(s.schedule.warmup_epochs, 'epoch')}"),
        ("device", f"{plan.device}, {_count(s.devices, 'process', 'processes')}, {plan.precision}"),
        ("normalisation", get_recipe(s.data.normalization).name if s.data.normalization else "not said"),
        ("seed", str(s.seed)),
    ]
    return (
        _table(rows)
        + f"<details><summary>All of them (config.yaml)</summary><pre>{escape(dump(s))}</pre></details>"
    )


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return (
        "<table>"
        + "".join(f"<tr><th>{escape(a)}</th><td>{escape(b)}</td></tr>" for a, b in rows)
        + "</table>"
    )


def _listed(names: Sequence[str]) -> str:
    more = f", and {len(names) - _MANY} more (split.yaml)" if len(names) > _MANY else ""
    return (", ".join(names[:_MANY]) or "none") + more


def _triple(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))


def _plain(value: object) -> str:
    return ", ".join(f"{v:g}" for v in value) if isinstance(value, tuple) else str(value)


def _count(number: float, noun: str, plural: str = "") -> str:
    return f"{number:g} {noun if number == 1 else plural or noun + 's'}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"
