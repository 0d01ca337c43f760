"""Requests and answers of the Open Inference Protocol v2 over HTTP.

The specification is https://github.com/kserve/open-inference-protocol; tensors may come and go
in the binary extension (see ``serve.tensors``). Every input is a column of shape [rows] or
[rows, 1]. A nullable input may be left out; within it ``null``, NaN, or an empty text is a
missing value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from core.errors import InvalidInputError, Offence
from core.problems.contract import Contract
from serve.http import Answer
from serve.predictor import LoadedModel, Scored
from serve.tensors import (
    Element,
    TensorError,
    datatype_of,
    datatype_of_label,
    read_binary_data,
    read_json_data,
    require_datatype,
    write_binary_data,
)
from serve.validation import BODY, refusal, shown

#: Length of the JSON before the binary data of tensors.
JSON_LENGTH = b"inference-header-content-length"
LABEL, PROBABILITY = "label", "probability"
#: How the protocol calls a model that onnxruntime runs.
PLATFORM = "onnx_onnxv1"


class _Parameters(msgspec.Struct):
    binary_data_size: Annotated[int, Meta(ge=0)] | None = None
    binary_data: bool | None = None
    binary_data_output: bool | None = None


class _Input(msgspec.Struct):
    name: str
    shape: list[Annotated[int, Meta(ge=0)]]
    datatype: str
    parameters: _Parameters | None = None
    data: list[Any] | None = None


class _Output(msgspec.Struct):
    name: str
    parameters: _Parameters | None = None


class _Request(msgspec.Struct):
    inputs: Annotated[list[_Input], Meta(min_length=1)]
    outputs: list[_Output] | None = None
    id: str | None = None
    parameters: _Parameters | None = None


_DECODER = msgspec.json.Decoder(_Request)


@dataclass(frozen=True)
class Inference:
    """A request as the model sees it: ``outputs`` are (name, whether in the binary form)."""

    id: str
    records: Sequence[object]
    outputs: tuple[tuple[str, bool], ...]


def read_inference(body: bytes, json_length: bytes, contract: Contract) -> Inference:
    """Reads the body of ``infer``.

    Args:
        body: JSON, and behind it the data of tensors in the binary form.
        json_length: what the header ``JSON_LENGTH`` says; empty if it is not there.
        contract: says what is an input.

    Raises:
        InvalidInputError: it breaks the protocol; every wrong tensor is named. Whether
            the records obey the contract has not been looked at.
    """
    size = len(body)
    if json_length:
        # Python reads no number of more than 4,300 digits.
        if not json_length.isdigit() or len(json_length) > 20 or int(json_length) > size:
            raise _refused([Offence(JSON_LENGTH.decode(), "must be a length within the body")])
        size = int(json_length)
    try:
        request = _DECODER.decode(memoryview(body)[:size])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise _refused([Offence(BODY, f"is no inference request: {exc}")]) from exc
    inputs = _Inputs(contract, memoryview(body)[size:], binary=bool(json_length))
    offences = list(inputs.read(request.inputs))
    outputs = tuple(_outputs(request, offences))
    if offences:
        raise _refused(offences)
    return Inference(request.id or "", inputs.records(), outputs)


def write_inference(model: LoadedModel, inference: Inference, scored: Scored) -> Answer:
    """The answer to ``infer``."""
    columns = {
        LABEL: datatype_of_label(model.problem.contract.label),
        PROBABILITY: "FP64",
    }
    outputs: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for name, in_binary in inference.outputs:
        values = [getattr(prediction, name) for prediction in scored.predictions]
        output = {"name": name, "shape": [len(values)], "datatype": columns[name]}
        if in_binary:
            binary.append(write_binary_data(columns[name], values))
            outputs.append(output | {"parameters": {"binary_data_size": len(binary[-1])}})
        else:
            outputs.append(output | {"data": values})
    head = msgspec.json.encode(
        {
            "model_name": model.problem.name,
            "model_version": str(model.ref.version),
            "id": inference.id or scored.request_id,
            # Late labels need it, whatever id the caller has chosen.
            "parameters": {"request_id": scored.request_id},
            "outputs": outputs,
        }
    )
    if not binary:
        return Answer(head)
    length = ((JSON_LENGTH, str(len(head)).encode()),)
    return Answer(head + b"".join(binary), content_type=b"application/octet-stream", headers=length)


def model_metadata(model: LoadedModel) -> dict[str, Any]:
    """What ``GET /v2/models/{model}`` tells."""
    contract = model.problem.contract
    inputs = [
        {"name": field.name, "datatype": datatype_of(field), "shape": [-1]}
        for field in contract.fields
    ]
    return {
        "name": model.problem.name,
        "versions": [str(model.ref.version)],
        "platform": PLATFORM,
        "inputs": inputs,
        "outputs": [
            {"name": LABEL, "datatype": datatype_of_label(contract.label), "shape": [-1]},
            {"name": PROBABILITY, "datatype": "FP64", "shape": [-1]},
        ],
    }


class _Inputs:
    """The input tensors of one request, read into columns."""

    def __init__(self, contract: Contract, data: memoryview, *, binary: bool) -> None:
        self._numeric = {field.name: field.type.is_numeric for field in contract.fields}
        self._numeric |= {source.name: False for source in contract.reduced}
        self._nullable = {field.name for field in contract.fields if field.nullable}
        self._ignored = set(contract.ignored)
        self._data = data
        self._binary = binary
        self._at = 0
        self._rows: int | None = None
        self._columns: dict[str, list[Element]] = {}

    def read(self, tensors: Sequence[_Input]) -> Iterator[Offence]:
        """Reads every tensor; yields what is wrong with them."""
        for tensor in tensors:
            try:
                self._read(tensor)
            except TensorError as exc:
                yield Offence(shown(tensor.name), str(exc))
        if self._at < len(self._data):
            left = len(self._data) - self._at
            yield Offence(BODY, f"has {left:,} bytes that belong to no tensor")

    def records(self) -> list[dict[str, Element]]:
        """The columns as records."""
        if not self._columns:
            return [{}]
        rows = zip(*self._columns.values(), strict=True)
        return [dict(zip(self._columns, row, strict=True)) for row in rows]

    def _read(self, tensor: _Input) -> None:
        name, given = tensor.name, self._take(tensor)
        if name in self._ignored:
            return
        if name not in self._numeric:
            raise TensorError("unknown input")
        if name in self._columns:
            raise TensorError("is given twice")
        require_datatype(tensor.datatype, numeric=self._numeric[name])
        if isinstance(given, bytes):
            values = read_binary_data(tensor.datatype, given)
        else:
            values = read_json_data(tensor.datatype, given)
        self._require_rows(tensor.shape, len(values))
        if name in self._nullable and not self._numeric[name]:
            values = [value or None for value in values]
        self._columns[name] = values

    def _take(self, tensor: _Input) -> bytes | list[Any]:
        """A tensor's data, of which the binary ones follow each other."""
        size = tensor.parameters.binary_data_size if tensor.parameters else None
        if (size is None) == (tensor.data is None):
            raise TensorError("must have either data or binary_data_size")
        if size is None:
            return tensor.data or []
        if not self._binary:
            raise TensorError(f"has binary data, which needs the header {JSON_LENGTH.decode()}")
        start, self._at = self._at, min(self._at + size, len(self._data))
        if self._at - start < size:
            raise TensorError(f"has {size:,} bytes of binary data, of which some are missing")
        return bytes(self._data[start : self._at])

    def _require_rows(self, shape: Sequence[int], elements: int) -> None:
        if len(shape) not in (1, 2) or shape[1:] not in ([], [1]):
            raise TensorError("must have the shape [rows] or [rows, 1]")
        if math.prod(shape) != elements:
            raise TensorError(f"has {elements:,} elements, and a shape of {shape[0]:,}")
        if self._rows is None:
            self._rows = elements
        if self._rows != elements:
            raise TensorError(f"has {elements:,} rows, and the first input {self._rows:,}")


def _outputs(request: _Request, offences: list[Offence]) -> Iterator[tuple[str, bool]]:
    """(name, whether in the binary form) of what is to be answered; wrong ones are offences."""
    default = bool(request.parameters and request.parameters.binary_data_output)
    if not request.outputs:
        yield from ((LABEL, default), (PROBABILITY, default))
        return
    told: set[str] = set()
    for output in request.outputs:
        if output.name not in (LABEL, PROBABILITY) or output.name in told:
            problem = "unknown output" if output.name not in told else "is asked for twice"
            offences.append(Offence(shown(output.name), problem))
            continue
        told.add(output.name)
        said = output.parameters.binary_data if output.parameters else None
        yield output.name, default if said is None else said


def _refused(offences: Sequence[Offence]) -> InvalidInputError:
    return refusal(iter(offences), "")
