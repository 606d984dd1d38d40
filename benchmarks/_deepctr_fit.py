"""The peer of `benchmarks.ranking`: DeepCTR-Torch's DCN in its matrix form. Runs in an interpreter of its own.

    python -m venv peers
    peers/bin/pip install torch==2.13.0 numpy==2.4.6 scikit-learn==1.9.1 tqdm==4.70.1 requests==2.34.2
    peers/bin/pip install --no-deps deepctr-torch==0.3.0
    peers/bin/python benchmarks/_deepctr_fit.py LOG.npz BATCH

Writes its predictions beside the log as predicted.npy and prints one JSON line: CPU seconds of one pass.
"""

import json
import sys
import time
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")

import numpy as np  # noqa: E402
import torch  # noqa: E402
from deepctr_torch.inputs import DenseFeat, SparseFeat  # noqa: E402
from deepctr_torch.models import DCN  # noqa: E402

path, batch = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
log = np.load(path)
dim, cards, hidden = int(log["dim"]), log["cards"], tuple(int(width) for width in log["hidden"])
sparse = [SparseFeat(f"C{i}", int(card), embedding_dim=dim) for i, card in enumerate(cards)]
dense = [DenseFeat(f"I{i}", 1) for i in range(log["dense"].shape[1])]


def inputs(part: str) -> dict[str, np.ndarray]:
    fields, numbers = log[f"{part}fields"], log[f"{part}dense"]
    return {f"C{i}": column for i, column in enumerate(fields.T)} | {f"I{i}": column for i, column in enumerate(numbers.T)}


# The linear part sees the numbers only, so that the peer pays for no second table.
model = DCN(dense, sparse + dense, cross_num=2, cross_parameterization="matrix", dnn_hidden_units=hidden, device="cpu", seed=1)
model.compile("adam", "binary_crossentropy")
train, start = inputs(""), time.process_time()
model.fit(train, log["y"].astype(np.float32), batch_size=batch, epochs=1, verbose=0)
cpu_s = time.process_time() - start
np.save(path.with_name("predicted.npy"), model.predict(inputs("test_"), batch_size=4096).ravel())
print(json.dumps({"cpu_s": cpu_s}))
