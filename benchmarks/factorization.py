"""What `als` adds to bare `implicit`, where both end, and what a warm start saves.

Planted pairs (`cf_pipeline/synthetic/pairs.py`) stand in a file of the matrix, which both load. The
bare one is `implicit`'s own fit with the same solver, number of iterations and loss after each;
ours has one lambda for all rows, as that has. Beside it the default, lambda scaled by frequency. A
warm start begins with the factors of all pairs but a twentieth, drawn, and goes on until it is
as low as a fit from nothing.
    python benchmarks/factorization.py
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from cf_pipeline.factorization.als import Als
from cf_pipeline.factorization.factorizer import Factors, Fitting
from cf_pipeline.synthetic.pairs import draw_pairs

Found = TypeVar("Found")
LAMBDA, CONFIDENCE, LEFT_OUT = 0.1, 2.0, 0.05


def main() -> None:
    """Run it and print one JSON object last."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=23_000_000, help="pairs")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--solver", choices=["cg", "cholesky"], default="cg")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    alike = Als(
        regularization=LAMBDA,
        regularization_exponent=0,
        unobserved_weight=1,
        n_iterations=arguments.iterations,
        warm_iterations=arguments.iterations,
        solver=arguments.solver,
    )
    fitting = Fitting(arguments.factors, 0, arguments.threads, _told)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pairs.npz"
        pairs = draw_pairs(arguments.size) * np.float32(CONFIDENCE)
        sparse.save_npz(file, pairs, compressed=False)
        bare, bare_seconds = timed("bare implicit", lambda: by_implicit(file, alike, fitting))
        ours, our_seconds = timed("als", lambda: alike.fit(sparse.load_npz(file), fitting))
        scaled = Als(n_iterations=arguments.iterations, solver=arguments.solver)
        _, scaled_seconds = timed("scaled", lambda: scaled.fit(sparse.load_npz(file), fitting))
    n_warm = warm_iterations(pairs, alike, fitting, ours.objective[-1])
    print(json.dumps({
        "users": pairs.shape[0],
        "projects": pairs.shape[1],
        "pairs": pairs.nnz,
        "factors": arguments.factors,
        "iterations": arguments.iterations,
        "solver": arguments.solver,
        "bare_seconds": round(bare_seconds, 1),
        "seconds": round(our_seconds, 1),
        "seconds_vs_implicit": our_seconds / bare_seconds,
        "scaled_seconds_vs_implicit": scaled_seconds / bare_seconds,
        "objective": ours.objective[-1],
        "objective_difference": abs(ours.objective[-1] / bare - 1),
        "warm_start_iterations": n_warm,
        "warm_start_share": n_warm / arguments.iterations,
    }))  # fmt: skip


def by_implicit(file: Path, alike: Als, fitting: Fitting) -> float:
    """The objective at the end of its own fit."""
    pairs = sparse.load_npz(file)
    losses: list[float] = []
    with threadpool_limits(limits=1, user_api="blas"):
        model = AlternatingLeastSquares(
            factors=fitting.n_factors,
            regularization=LAMBDA,
            alpha=1.0,
            iterations=alike.n_iterations,
            use_cg=alike.solver == "cg",
            random_state=fitting.seed,
            num_threads=fitting.threads,
            calculate_training_loss=True,
        )
        model.fit(pairs, show_progress=False, callback=lambda _i, _s, loss: losses.append(loss))
    weight = float(pairs.sum(dtype=np.float64)) + pairs.shape[0] * pairs.shape[1] - pairs.nnz
    return losses[-1] * weight


def warm_iterations(pairs: sparse.csr_matrix, alike: Als, fitting: Fitting, wanted: float) -> int:
    """Iterations from earlier factors until the objective is as low as wanted."""
    is_old = np.random.default_rng(1).random(pairs.nnz) >= LEFT_OUT
    users = np.repeat(np.arange(pairs.shape[0]), np.diff(pairs.indptr))
    old = sparse.csr_matrix(
        (pairs.data[is_old], (users[is_old], pairs.indices[is_old])), shape=pairs.shape
    )
    before: Factors = alike.fit(old, fitting)
    start = before.user_factors, before.item_factors
    warm = alike.fit(pairs, replace(fitting, start=start))
    reached = [n for n, value in enumerate(warm.objective, 1) if value <= wanted]
    return reached[0] if reached else len(warm.objective) + 1


def timed(name: str, call: Callable[[], Found]) -> tuple[Found, float]:
    """What it returns, and seconds."""
    print(name, flush=True)
    started = time.perf_counter()
    found = call()
    return found, time.perf_counter() - started


def _told(done: int, total: int, objective: float) -> None:
    print(f"  {done} of {total}: {objective:,.0f}", flush=True)


if __name__ == "__main__":
    main()
