"""Writes onnx.json: models that dlang's onnx.save wrote, and what onnxruntime computes with them. Needs onnx and onnxruntime.

    DLANG=target/release/dlang python tests/library/record_onnx.py
"""

import json
import os
import pathlib
import subprocess
import tempfile

import numpy as np
import onnx
import onnxruntime

HERE = pathlib.Path(__file__).parent
record = {}
with tempfile.TemporaryDirectory() as folder:
    program = f"""
import onnx
import "./onnx.dl" as made
for (name, (model, shape)) in made.models().items() {{
    onnx.save(f"{folder}/{{name}}.json", model, shape)
    onnx.save(f"{folder}/{{name}}.onnx", model, shape)
    write_text(f"{folder}/{{name}}.inputs", json_encode(made.inputs(shape)))
}}
onnx.save("{folder}/words.json", made.words(), (5,), ints: true)
onnx.save("{folder}/words.onnx", made.words(), (5,), ints: true)
write_text("{folder}/words.inputs", json_encode([[0, 1, 2, 3, 5], [4, 4, 4, 0, 0]]))
"""
    subprocess.run([os.environ["DLANG"], "-"], input=program, text=True, check=True, cwd=HERE)
    for path in sorted(pathlib.Path(folder).glob("*.json")):
        model = onnx.load(str(path))
        onnx.checker.check_model(model, full_check=True)
        binary = path.with_suffix(".onnx")
        onnx.checker.check_model(str(binary), full_check=True)
        assert onnx.load(str(binary)) == model
        session = onnxruntime.InferenceSession(str(binary), providers=["CPUExecutionProvider"])
        x = np.array(json.loads(path.with_suffix(".inputs").read_text()))
        (y,) = session.run(None, {"x": x if x.dtype == np.int64 else x.astype(np.float32)})
        record[path.stem] = {
            "graph": json.loads(path.read_text())["graph"],
            "bytes": list(model.SerializeToString(deterministic=True)),
            "y": y.tolist(),
        }
        print(path.stem, y.shape, np.abs(y).max())

target = HERE / "onnx.json"
target.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}" for k, v in record.items()) + "\n}\n")
print(target.stat().st_size, "bytes")
