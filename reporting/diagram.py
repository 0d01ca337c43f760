"""The architecture as one value, drawn twice: Mermaid's text for GitHub, a picture for the PDF."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

Shape = Literal["person", "program", "store"]
_MERMAID: dict[Shape, tuple[str, str]] = {
    "person": ("([", "])"),
    "program": ("[", "]"),
    "store": ("[(", ")]"),
}
_FILL: dict[Shape, str] = {"person": "#F3E6D3", "program": "#DCE9F2", "store": "#E3EEDD"}
_INK, _GROUP = "#16242B", "#8A97A0"
_BOX = (1.5, 0.62)
_PAD = 0.22


@dataclass(frozen=True)
class Node:
    """A person, a program or a store. ``x`` and ``y`` are its place in the picture."""

    name: str
    words: tuple[str, ...]
    shape: Shape
    x: float
    y: float


@dataclass(frozen=True)
class Group:
    """Nodes that live together."""

    name: str
    title: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Edge:
    """What goes from one to the other; ``at`` is where on the picture's arrow its words stand."""

    source: str
    target: str
    words: str = ""
    at: float = 0.5


@dataclass(frozen=True)
class Diagram:
    """All of it. Every name in a group or an edge is a node's."""

    nodes: tuple[Node, ...]
    groups: tuple[Group, ...]
    edges: tuple[Edge, ...]


ARCHITECTURE = Diagram(
    nodes=(
        Node("operator", ("operator",), "person", 0.0, 3.6),
        Node("engineer", ("engineer, CI",), "person", 0.0, 2.4),
        Node("caller", ("caller",), "person", 0.0, 0.0),
        Node("panel", ("panel", "Streamlit, app/"), "program", 2.3, 3.6),
        Node("cli", ("pilothouse", "core/cli.py"), "program", 2.3, 2.4),
        Node("worker", ("worker", "core/worker.py"), "program", 2.3, 1.2),
        Node("proxy", ("HAProxy",), "program", 2.3, 0.0),
        Node("job", ("Ray Job", "one run"), "program", 5.0, 3.6),
        Node("spark", ("Spark session", "through RayDP"), "program", 5.0, 2.4),
        Node("replica", ("replicas", "serve/, ONNX"), "program", 5.0, 0.0),
        Node("db", ("database", "decisions, audit"), "store", 0.0, 1.2),
        Node("data", ("DVC", "data versions"), "store", 7.9, 3.6),
        Node("mlflow", ("MLflow", "runs, versions"), "store", 7.9, 2.1),
        Node("log", ("inference log", "answers, labels"), "store", 7.9, 0.0),
    ),
    groups=(Group("ray", "Ray", ("job", "spark", "replica")),),
    edges=(
        Edge("operator", "panel"),
        Edge("engineer", "cli"),
        Edge("caller", "proxy", "HTTP"),
        Edge("panel", "job", "start, watch"),
        Edge("cli", "job", "the same"),
        Edge("job", "data", "rows"),
        Edge("job", "spark", "preprocess, train"),
        Edge("job", "mlflow", "metrics, version"),
        Edge("worker", "db", "decisions"),
        Edge("worker", "replica", "what serves"),
        Edge("proxy", "replica"),
        Edge("mlflow", "replica", "the version"),
        Edge("replica", "log", "every answer"),
        Edge("log", "worker", "drift checks", at=0.62),
    ),
)


def mermaid(diagram: Diagram) -> str:
    """The diagram as Mermaid's text, in a fence."""
    inside = {name for group in diagram.groups for name in group.members}
    nodes = {node.name: f"{node.name}{_shaped(node)}" for node in diagram.nodes}
    lines = ["```mermaid", "flowchart LR"]
    lines += [f"  {text}" for name, text in nodes.items() if name not in inside]
    for group in diagram.groups:
        lines.append(f'  subgraph {group.name}["{group.title}"]')
        lines += [f"    {nodes[name]}" for name in group.members]
        lines.append("  end")
    for edge in diagram.edges:
        words = f"|{edge.words}|" if edge.words else ""
        lines.append(f"  {edge.source} -->{words} {edge.target}")
    return "\n".join([*lines, "```"])


def _shaped(node: Node) -> str:
    opening, closing = _MERMAID[node.shape]
    return f'{opening}"{"<br/>".join(node.words)}"{closing}'


def draw(diagram: Diagram) -> Figure:
    """The diagram as a picture."""
    figure = Figure(figsize=(9.2, 4.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_aspect("equal")
    places = {node.name: node for node in diagram.nodes}
    xs, ys = [n.x for n in diagram.nodes], [n.y for n in diagram.nodes]
    axes.set_xlim(min(xs) - 1.1, max(xs) + 1.1)
    axes.set_ylim(min(ys) - 0.7, max(ys) + 0.9)
    for group in diagram.groups:
        _group(axes, group, [places[name] for name in group.members])
    for edge in diagram.edges:
        _edge(axes, edge, places[edge.source], places[edge.target])
    for node in diagram.nodes:
        _node(axes, node)
    return figure


def _node(axes: Axes, node: Node) -> None:
    width, height = _BOX
    rounding = 0.28 if node.shape == "person" else 0.06
    axes.add_patch(
        FancyBboxPatch(
            (node.x - width / 2, node.y - height / 2),
            width,
            height,
            boxstyle=f"round,pad=0.02,rounding_size={rounding}",
            facecolor=_FILL[node.shape],
            edgecolor=_INK,
            linewidth=0.8,
            zorder=3,
        )
    )
    axes.text(
        node.x, node.y, "\n".join(node.words), ha="center", va="center", fontsize=7.5, zorder=4
    )


def _group(axes: Axes, group: Group, members: list[Node]) -> None:
    left = min(node.x for node in members) - _BOX[0] / 2 - _PAD
    right = max(node.x for node in members) + _BOX[0] / 2 + _PAD
    bottom = min(node.y for node in members) - _BOX[1] / 2 - _PAD
    top = max(node.y for node in members) + _BOX[1] / 2 + _PAD
    axes.add_patch(
        FancyBboxPatch(
            (left, bottom),
            right - left,
            top - bottom,
            boxstyle="round,pad=0.02,rounding_size=0.1",
            facecolor="none",
            edgecolor=_GROUP,
            linestyle="--",
            linewidth=0.8,
            zorder=0,
        )
    )
    axes.text(left + 0.05, top + 0.08, group.title, fontsize=8, color=_GROUP, va="bottom")


def _edge(axes: Axes, edge: Edge, source: Node, target: Node) -> None:
    begin, end = _border(source, target), _border(target, source)
    arrow = {
        "arrowstyle": "-|>",
        "color": _INK,
        "linewidth": 0.8,
        "shrinkA": 0,
        "shrinkB": 0,
    }
    axes.annotate("", xy=end, xytext=begin, arrowprops=arrow, zorder=2)
    if edge.words:
        axes.text(
            begin[0] + (end[0] - begin[0]) * edge.at,
            begin[1] + (end[1] - begin[1]) * edge.at,
            edge.words,
            ha="center",
            va="center",
            fontsize=6.5,
            color=_INK,
            zorder=2.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )


def _border(node: Node, other: Node) -> tuple[float, float]:
    """Where the line from a node's middle to the other's leaves its box."""
    across, up = other.x - node.x, other.y - node.y
    width, height = _BOX[0] / 2 + 0.03, _BOX[1] / 2 + 0.03
    shares = [size / abs(way) for size, way in ((width, across), (height, up)) if way]
    share = min(shares)
    return node.x + across * share, node.y + up * share
