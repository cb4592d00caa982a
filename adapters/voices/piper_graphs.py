"""An unmodified Piper voice as three graphs in memory: how long each phoneme lasts, the latents, the vocoder.

Knows neither text nor runtime. The file is only read; what it drew at random becomes an input, so that noise can be
keyed by position, and what the first graph has computed is handed to the second instead of being computed again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

MOST_BYTES = 1 << 29
"""A voice file of more than 512 MB is none: the largest quality published is 114 MB."""

INPUTS = ("input", "input_lengths", "scales")
SPEAKER = "sid"
VOCODER_ENTRY = "dec.conv_pre.weight"
VOCODER_ENTRY_NODE = "dec/conv_pre"
"""The vocoder's first layer by the name of its weight, or by its own where an exporter renamed weights."""


class StrangeGraphError(Exception):
    """The network is not the one that Piper's trainer exports; the text says in a few words where it differs."""


@dataclass(frozen=True, slots=True)
class Graphs:
    """The three graphs, serialised. `width_noise` (1, 2, ids) and `latent_noise` (1, `channels`, frames) are the inputs
    that take the noise, `latents` (1, `channels`, frames) is what the vocoder takes.

    `shared` are the outputs of `durations`, the frames of every id first, which `latent` takes as inputs.
    `weights` counts the vocoder's parameters.
    """

    durations: bytes
    latent: bytes
    vocoder: bytes
    shared: tuple[str, ...]
    width_noise: str
    latent_noise: str
    latents: str
    channels: int
    weights: int


def split(path: Path) -> Graphs:
    """The graphs of the voice in `path`. Raises StrangeGraphError where it is no such voice, OSError."""
    return _Surgery(_loaded(path)).graphs()


def _loaded(path: Path) -> ModelProto:
    import onnx

    if path.stat().st_size > MOST_BYTES:
        raise StrangeGraphError(f"it is larger than {MOST_BYTES >> 20} MB")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError:
        raise
    except Exception as error:  # the parser's errors are its own
        raise StrangeGraphError("it is truncated, or no ONNX file at all") from error
    if not model.graph.node:
        raise StrangeGraphError("it holds no network")
    return model


class _Surgery:
    """One model on the table."""

    def __init__(self, model: ModelProto) -> None:
        self._model = model
        self._graph: GraphProto = model.graph
        self._noise = [node for node in self._graph.node if node.op_type == "RandomNormalLike"]
        for node in self._noise:
            self._graph.node.remove(node)
        self._nodes: list[NodeProto] = list(self._graph.node)
        self._maker = {name: node for node in self._nodes for name in node.output}
        self._weights = {tensor.name: tensor for tensor in self._graph.initializer}

    def graphs(self) -> Graphs:
        self._check_inputs()
        frames = self._only("Ceil").output[0]
        entry = self._entry()
        latents, channels = entry.input[0], self._channels(entry)
        width_noise, latent_noise = self._noises(frames)
        first = self._above([frames])
        shared = (frames, *self._frontier(first, self._above([latents], (frames,)), frames))
        shapes = {width_noise: (1, 2, None), latent_noise: (1, channels, None), latents: (1, channels, None)}
        given = [_tensor(name, shape) for name, shape in shapes.items()]
        handed = [_tensor(name, None) for name in shared]
        vocoder, weights = self._part([self._graph.output[0].name], [latents], given)
        return Graphs(
            durations=self._part(shared, [], given)[0],
            latent=self._part([latents], shared, [*given, *handed])[0],
            vocoder=vocoder,
            shared=shared,
            width_noise=width_noise,
            latent_noise=latent_noise,
            latents=latents,
            channels=channels,
            weights=weights,
        )

    # --- where to cut ---

    def _check_inputs(self) -> None:
        names = [value.name for value in self._graph.input if value.name not in self._weights]
        if [name for name in names if name != SPEAKER] != list(INPUTS):
            raise StrangeGraphError(f"its inputs are {', '.join(names) or 'none'}, not {', '.join(INPUTS)}")

    def _only(self, kind: str) -> NodeProto:
        found = [node for node in self._nodes if node.op_type == kind]
        if len(found) != 1:
            raise StrangeGraphError(f"it has {len(found)} {kind} nodes instead of one")
        return found[0]

    def _entry(self) -> NodeProto:
        for node in self._nodes:
            if node.op_type == "Conv" and (node.input[1] == VOCODER_ENTRY or VOCODER_ENTRY_NODE in node.name):
                return node
        raise StrangeGraphError("it has no vocoder that begins with conv_pre")

    def _channels(self, entry: NodeProto) -> int:
        weight = self._weights.get(entry.input[1])
        if weight is None or len(weight.dims) != 3:
            raise StrangeGraphError("its vocoder's first layer has no weight")
        return int(weight.dims[1])

    def _noises(self, frames: str) -> tuple[str, str]:
        """The noise that the durations need, and the other one."""
        names = [node.output[0] for node in self._noise]
        above = self._above([frames])
        inside = [name for name in names if name in above]
        outside = [name for name in names if name not in above]
        if len(inside) != 1 or len(outside) != 1:
            raise StrangeGraphError(f"it draws noise in {len(names)} places, not once each for durations and latents")
        return inside[0], outside[0]

    def _above(self, wanted: Iterable[str], given: Sequence[str] = ()) -> set[str]:
        """Every tensor that `wanted` depend on, not looking behind those that are `given`."""
        seen: set[str] = set()
        todo = list(wanted)
        while todo:
            name = todo.pop()
            if name and name not in seen:
                seen.add(name)
                if name in self._maker and name not in given:
                    todo += _reads(self._maker[name])
        return seen

    def _frontier(self, first: set[str], second: set[str], frames: str) -> list[str]:
        """What nodes of the second graph alone read of the first; constants are cheaper made twice."""
        made_first = {id(self._maker[name]) for name in first if name in self._maker}
        found: dict[str, None] = {}
        for name in sorted(second - first):
            node = self._maker.get(name)
            if node is None or id(node) in made_first:
                continue
            for read in _reads(node):
                maker = self._maker.get(read)
                if read in first and read != frames and maker is not None and maker.op_type != "Constant":
                    found[read] = None
        return list(found)

    # --- cutting ---

    def _part(self, wanted: Sequence[str], given: Sequence[str], inputs: Sequence[Any]) -> tuple[bytes, int]:
        """The graph from `given` and the model's inputs to `wanted`, and the parameters that it holds."""
        from onnx import ValueInfoProto, helper

        need = self._above(wanted, given) - set(given)
        nodes = [node for node in self._nodes if any(name in need for name in node.output)]
        used = {name for node in nodes for name in _reads(node)}
        made = {name for node in nodes for name in node.output}
        takes = [value for value in [*self._graph.input, *inputs] if value.name in used - made]
        weights = [tensor for tensor in self._graph.initializer if tensor.name in used]
        graph = helper.make_graph(nodes, "part", takes, [ValueInfoProto(name=name) for name in wanted], weights)
        part = helper.make_model(
            graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version
        ).SerializeToString()
        return part, sum(math.prod(tensor.dims) for tensor in weights)


def _reads(node: NodeProto) -> Iterator[str]:
    """The tensors that a node takes, those that its branches take from outside included."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _reads(inner)
        yield from (value.name for value in attribute.g.output)


def _tensor(name: str, shape: Sequence[int | None] | None) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
