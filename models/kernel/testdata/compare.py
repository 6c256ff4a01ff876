"""Training speed beside other programs, in one run: iALS of this project against C with OpenBLAS and the Python
package implicit, and the user encoder against PyTorch.

    apt-get install gcc libopenblas-dev; python3 -m venv V; V/bin/pip install implicit torch
    V/bin/python models/kernel/testdata/compare.py       # everything: half an hour on two quiet cores
    V/bin/python models/kernel/testdata/compare.py --sizes gowalla --dims 64 --rounds 2

All programs read the same pairs, begin with the same item factors and solve the same problem: every pair has
confidence 10, absent ones 1, the ridge is 1. They take turns, --rounds times; the table holds the best epoch of
each, by the clock and by processor seconds, and how many times longer it took than this project with the same
solver: exact (Cholesky), or three steps of conjugate gradients, the default of implicit. Gowalla is read from
$SARTOR_DATA or ../shared/data where it is there, train and test together, and drawn otherwise; ml-20m is always
drawn, at its size. On a machine that runs other programs only the processor seconds of one thread mean anything.

implicit weighs the right-hand side with c + 1 where MODEL.md has c, so its agreement is checked against the C
program with that one number changed (EXTRA of ials.c), that of this project against C as it is.
"""
import argparse
import gzip
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # implicit warns unless BLAS has one thread; it has its own
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
CONFIDENCE, RIDGE = 10.0, 1.0
SIZES = {"gowalla": (29858, 40981, 1027370), "ml-20m": (138493, 26744, 20000263)}


def real(folder):
    """Return the pairs of Gowalla as (user, item), or None."""
    parts = []
    for part in ("train", "test"):
        path = pathlib.Path(folder) / "gowalla" / f"{part}.tsv.gz"
        if not path.exists():
            return None
        with gzip.open(path) as f:
            parts.append(np.loadtxt(f, dtype=np.int64, skiprows=1, delimiter="\t"))
    return np.concatenate(parts)


def drawn(users, items, pairs):
    """Return as many different pairs, spread over users by a log-normal law, with low item numbers more often."""
    rng = np.random.default_rng(1)
    share = rng.lognormal(0, 1.1, users)
    counts = np.clip(share / share.sum() * pairs, 1, items // 4).astype(np.int64)
    keys = np.empty(0, np.int64)
    while len(keys) < pairs:
        draws = int(1.5 * (pairs - len(keys))) + 1000  # many are there already
        user = np.searchsorted(np.cumsum(counts / counts.sum()), rng.random(draws)).clip(0, users - 1)
        item = (items * rng.random(draws) ** 2).astype(np.int64)
        keys = np.unique(np.concatenate([keys, user * items + item]))
    keys = rng.permutation(keys)[:pairs]
    return np.stack([keys // items, keys % items], 1)


def write(path, size, data):
    users, items, pairs = SIZES[size]
    found = real(data) if size == "gowalla" else None
    chosen = drawn(users, items, pairs) if found is None else found
    keys = np.unique(chosen[:, 0] * items + chosen[:, 1])
    starts = np.concatenate([[0], np.cumsum(np.bincount(keys // items, minlength=users))])
    with open(path, "wb") as f:
        np.array([users, items, len(keys)], np.int64).tofile(f)
        starts.astype(np.int64).tofile(f)
        (keys % items).astype(np.int32).tofile(f)
    return f"{size}, {'drawn' if found is None else 'the real pairs'}: {users:,} x {items:,}, {len(keys):,} pairs"


def run(command, env=None):
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr}{done.stdout}")
    return done.stdout


class Result:
    def __init__(self):
        self.wall, self.cpu, self.loss, self.length = float("inf"), float("inf"), 0.0, 0.0

    def add(self, wall, cpu, loss, length):
        self.wall, self.cpu, self.loss, self.length = min(self.wall, wall), min(self.cpu, cpu), loss, length


def ours(result, pairs, start, dim, threads, epochs, test, steps):
    env = dict(os.environ, SARTOR_ALS=f"{pairs} {start} {dim} {threads} {steps}", GOMAXPROCS=str(threads))
    out = run([test, "-test.run", "xxx", "-test.bench", "ALSEpoch", "-test.benchtime", f"{epochs}x"], env)
    value = {unit: float(v) for v, unit in re.findall(r"([\d.e+-]+) (wall-s|cpu-s|loss|length)", out)}
    result.add(value["wall-s"], value["cpu-s"], value["loss"], value["length"])


def in_c(result, pairs, start, dim, threads, epochs, program, extra=0):
    lines = [line.split() for line in run([program, pairs, start, str(dim), str(threads), str(epochs), str(extra)]).splitlines()]
    times = [(float(x[1]), float(x[2])) for x in lines if x[0] == "epoch"]
    result.add(min(t[0] for t in times), min(t[1] for t in times), float(lines[-1][1]), float(lines[-1][2]))


def in_python(result, pairs, start, dim, threads, epochs, cg):
    out = run([sys.executable, __file__, "--child", pairs, start, str(dim), str(threads), str(epochs), str(cg)])
    result.add(*(float(x) for x in out.split()[-4:]))


def child(pairs, start, dim, threads, epochs, cg):
    import scipy.sparse
    from implicit.cpu.als import AlternatingLeastSquares
    size = np.fromfile(pairs, np.int64, 3)
    starts = np.fromfile(pairs, np.int64, size[0] + 1, offset=24)
    cols = np.fromfile(pairs, np.int32, offset=24 + 8 * (size[0] + 1))
    matrix = scipy.sparse.csr_matrix((np.full(size[2], CONFIDENCE + 1, np.float32), cols, starts.astype(np.int32)), shape=(size[0], size[1]))
    model = AlternatingLeastSquares(factors=int(dim), regularization=RIDGE, use_cg=cg == "True", iterations=int(epochs), num_threads=int(threads))
    model.item_factors = np.fromfile(start, np.float32).reshape(size[1], int(dim))
    model.user_factors = np.zeros((size[0], int(dim)), np.float32)
    wall, cpu, used = [], [], [time.process_time()]

    def after(_, elapsed, __):
        wall.append(elapsed)
        cpu.append(time.process_time() - used[0])
        used[0] = time.process_time()

    model.fit(matrix, show_progress=False, callback=after)
    if epochs != "1":
        cpu = cpu[1:]  # the first holds the transposition
    print(min(wall), min(cpu), 0, float(np.linalg.norm(model.item_factors.astype(np.float64))))


def compare(size, dim, threads, o, folder, test, program):
    pairs, start = str(folder / size), str(folder / f"start-{size}-{dim}")
    if not os.path.exists(start):
        rng = np.random.default_rng(2)
        (rng.standard_normal((SIZES[size][1], dim)) * 0.1 / dim**0.5).astype(np.float32).tofile(start)
    names = ["this project, exact", "C with OpenBLAS, exact", "implicit, exact", "this project, 3 steps of CG", "implicit, 3 steps of CG"]
    results = {name: Result() for name in names}
    epochs = o.epochs if size == "gowalla" else max(2, o.epochs // 2)
    for _ in range(o.rounds):
        ours(results[names[0]], pairs, start, dim, threads, epochs, test, 0)
        in_c(results[names[1]], pairs, start, dim, threads, epochs, program)
        in_python(results[names[2]], pairs, start, dim, threads, epochs, False)
        ours(results[names[3]], pairs, start, dim, threads, epochs, test, 3)
        in_python(results[names[4]], pairs, start, dim, threads, epochs, True)
    mine = results[names[0]]
    for i, name in enumerate(names):
        r, of = results[name], results[names[0 if i < 3 else 3]]
        print(f"| {size} | {dim} | {threads} | {name} | {r.wall:.3f} | {r.cpu:.3f} | {r.wall / of.wall:.2f} | {r.cpu / of.cpu:.2f} |", flush=True)
    other = Result()
    in_c(other, pairs, start, dim, threads, epochs, program, 1)
    close = lambda a, b: abs(a / b - 1)
    c = results[names[1]]
    print(f"agreement after {epochs} epochs: loss {mine.loss:.4f} here, {c.loss:.4f} in C, {results[names[3]].loss:.4f} here with CG; length of the item factors {mine.length:.3f}, {c.length:.3f}; "
          f"with implicit's right side {other.length:.3f} in C, {results[names[2]].length:.3f} in implicit", flush=True)
    if close(mine.loss, c.loss) > 1e-3 or close(mine.length, c.length) > 1e-3 or close(other.length, results[names[2]].length) > 1e-3:
        sys.exit("compare: the programs disagree by more than 0.1 %: they do not solve the same problem")


def encoder(threads, o, test):
    """Print training events per second of this project and of PyTorch, taking turns."""
    mine, other = [0.0, 0.0], [0.0, 0.0]
    for _ in range(o.rounds):
        out = run([test, "-test.run", "xxx", "-test.bench", f"EncoderStep/workers-{threads}$", "-test.benchtime", "20x"], dict(os.environ, GOMAXPROCS=str(threads)))
        value = {unit: float(v) for v, unit in re.findall(r"([\d.e+-]+) (events/s-best|events/cpu-s)", out)}
        mine = [max(mine[0], value["events/s-best"]), max(mine[1], value["events/cpu-s"])]
        out = run([o.torch, str(ROOT / "models/train/testdata/encoder_torch.py"), "--threads", str(threads), "--steps", "10"],
                  {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")})
        found = re.search(r"([\d,]+) events/s at best, ([\d,]+) events per processor second", out)
        other = [max(other[i], float(found[i + 1].replace(",", ""))) for i in range(2)]
    print(f"| {threads} | {mine[0]:,.0f} | {other[0]:,.0f} | {mine[0] / other[0]:.2f} | {mine[1]:,.0f} | {other[1]:,.0f} | {mine[1] / other[1]:.2f} |", flush=True)


def main():
    if sys.argv[1:2] == ["--child"]:
        return child(*sys.argv[2:])
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sizes", nargs="*", default=list(SIZES), choices=list(SIZES))
    p.add_argument("--dims", nargs="+", type=int, default=[64, 128])
    p.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--epochs", type=int, default=4)
    p.add_argument("--data", default=os.environ.get("SARTOR_DATA", ROOT.parent / "shared" / "data"))
    p.add_argument("--torch", default=sys.executable, help="a Python with torch; empty leaves the encoder out")
    o = p.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        program, test = str(folder / "ials"), str(folder / "train.test")
        run(["gcc", "-O3", "-march=native", "-o", program, str(HERE / "ials.c"), "-lopenblas", "-lm", "-lpthread"])
        run(["go", "test", "-c", "-o", test, "./models/train"])
        for size in o.sizes:
            print(write(folder / size, size, o.data), flush=True)
            print("| data | D | threads | program | seconds an epoch | processor seconds | times this project | the same by processor |\n|---|---|---|---|---|---|---|---|")
            for dim in o.dims:
                for threads in o.threads:
                    compare(size, dim, threads, o, folder, test, program)
        if o.torch:
            print("encoder, training events a second\n| threads | this project | PyTorch | times | this project, by processor | PyTorch | times |\n|---|---|---|---|---|---|---|")
            for threads in o.threads:
                encoder(threads, o, test)


if __name__ == "__main__":
    main()
