"""Writes the files beside it: made-up item vectors as other programs write them.

    python3 -m venv venv && venv/bin/pip install numpy torch safetensors pyarrow
    venv/bin/python models/foreign/testdata/write.py models/foreign/testdata

torch.safetensors: the state of a torch.nn.Embedding and a linear layer, by safetensors.torch.
bf16.safetensors, f16.safetensors, f64.safetensors: the same table in other types.
lae.safetensors: a whole linear autoencoder under the names of MODEL.md, without ids.
spark.parquet/: item factors as Spark's ALSModel.write does: columns id (int) and features (list of
float), in part files compressed with snappy.
Item j of six has the vector (j, j/2, -1, 0.25, 2^-j).
"""
import os, sys
import numpy, torch, pyarrow, pyarrow.parquet
from safetensors.torch import save_file

out = sys.argv[1]
table = numpy.array([[j, j / 2, -1, 0.25, 2.0 ** -j] for j in range(6)], dtype=numpy.float32)
net = torch.nn.ModuleDict({"item": torch.nn.Embedding(6, 5), "user": torch.nn.Linear(5, 5)})
with torch.no_grad():
    net["item"].weight.copy_(torch.from_numpy(table))
    net["user"].weight.copy_(torch.eye(5))
save_file(net.state_dict(), os.path.join(out, "torch.safetensors"), metadata={"format": "pt"})
for name, dtype in {"bf16": torch.bfloat16, "f16": torch.float16, "f64": torch.float64}.items():
    save_file({"item": torch.from_numpy(table).to(dtype)}, os.path.join(out, name + ".safetensors"))

wide = torch.zeros(6, 8)
wide[:, :5] = torch.from_numpy(table)
save_file({"item.in": wide, "item.out": wide.clone(), "item.users": torch.ones(6), "item.popularity": torch.arange(6, dtype=torch.float32)},
          os.path.join(out, "lae.safetensors"))

os.makedirs(os.path.join(out, "spark.parquet"), exist_ok=True)
schema = pyarrow.schema([("id", pyarrow.int32()), ("features", pyarrow.list_(pyarrow.field("element", pyarrow.float32())))])
for part, rows in enumerate([range(0, 4), range(4, 6)]):
    pyarrow.parquet.write_table(pyarrow.table({"id": [100 + j for j in rows], "features": [table[j].tolist() for j in rows]}, schema=schema),
                                os.path.join(out, "spark.parquet", "part-%05d.snappy.parquet" % part), compression="snappy")
